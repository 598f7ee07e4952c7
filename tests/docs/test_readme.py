"""The README's two screens: their order, their length, and what they claim of files, figures and versions."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from benchmarks.__main__ import BEGIN, END, HEADLINES
from tests.docs import showcase

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_readme_tells_first_what_it_answers_then_what_was_found_and_how_to_begin() -> None:
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == [
        "What it found",
        "Two commands",
        "A study in ten lines",
        "What no other tool does",
        "Where it runs",
        "How to cite",
    ]
    assert len(README.split()) <= 1100


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_linked_files_and_headings_are_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target, _, heading in (
        found.partition("#") for found in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in found
    ):
        linked = (ROOT / page).parent / target
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in [one.lower().replace(" ", "-") for one in headings]


def test_each_line_on_what_no_other_tool_does_links_to_its_proof() -> None:
    section = README.partition("## What no other tool does")[2].partition("\n## ")[0]
    claims = re.findall(r"^- \*\*.*?(?=^- |\n\n)", section, re.MULTILINE | re.DOTALL)
    assert len(claims) == 5
    for claim in claims:
        assert re.search(r"\]\((tests|benchmarks)/", claim), claim


def test_nothing_is_said_to_be_found_before_the_showcase_has_rows() -> None:
    paper = (ROOT / "docs" / "showcase.md").read_text("utf-8")
    has_rows = showcase.BUNDLE.exists()
    assert ("has not been run to its end" in README) != has_rows
    assert ("It has not been run to its end" in paper) != has_rows
    assert ("*No rows yet" in paper) != has_rows


def test_its_three_figures_are_those_of_the_benchmarks() -> None:
    figures = README.partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    table = (ROOT / "benchmarks" / "README.md").read_text("utf-8").partition(BEGIN)[2].splitlines()
    assert len(figures) == 4 + 3
    assert set(figures) <= set(table)
    assert sorted(row.split(" | ")[0].removeprefix("| ") for row in figures[4:]) == sorted(HEADLINES)
    measured = {row["name"] for row in json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))}
    assert set(HEADLINES) <= measured


def test_the_citation_is_of_this_version_and_names_the_study_it_goes_back_to() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    (study,) = citation["references"]
    assert {"type", "title", "authors"} <= set(study)
    assert study["title"] in " ".join(README.split())
    assert study["identifiers"][0]["value"].removeprefix("arXiv:") in README


def test_it_says_that_there_is_no_licence_as_long_as_there_is_none() -> None:
    has_licence = bool([*ROOT.glob("LICEN[CS]E*")]) or "license" in PROJECT
    assert ("No licence has been chosen yet" in README) != has_licence
