"""The README's two screens: their order, their length, and what they claim of files, figures and versions."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from benchmarks.__main__ import BEGIN, END, HEADLINES, headlines
from tests.chromium import NEEDS_CHROMIUM, browser
from tests.docs import showcase

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

STYLE = """
body { margin: 0; font: 16px/1.5 "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif }
h1, h2 { margin: 24px 0 16px; padding-bottom: .3em; border-bottom: 1px solid; line-height: 1.25 }
h1 { margin-top: 0; font-size: 2em }
h2 { font-size: 1.5em }
p, ul, pre, table { margin: 0 0 16px }
ul { padding-left: 2em }
li + li { margin-top: .25em }
pre { padding: 16px; font-size: 85%; line-height: 1.45 }
td, th { padding: 6px 13px; border: 1px solid }
"""


def test_the_readme_tells_first_what_it_answers_then_what_was_found_and_how_to_begin() -> None:
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == [
        "Two commands",
        "A study in ten lines",
        "What no other tool does",
        "Where it runs",
        "How to cite",
    ]
    first = README.partition("\n## ")[0]
    assert first.index("**Prompt it, tune it, or align it?**") < first.index("](docs/showcase/")
    assert first.index("](docs/showcase/") < first.index("**Show a small multilingual model")


@pytest.mark.slow
@NEEDS_CHROMIUM
def test_it_is_read_on_two_screens_and_the_first_shows_a_figure(tmp_path: Path) -> None:
    """As a forge sets it: 830 pixels wide, letters of 16 pixels, on screens of 800 pixels."""
    body = MarkdownIt("commonmark").enable("table").render(README).replace('src="', f'src="{ROOT.as_uri()}/')
    page = tmp_path / "readme.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{body}", "utf-8")
    with browser() as started:
        shown = started.new_page(viewport={"width": 830, "height": 800})
        shown.goto(page.as_uri())
        figure = shown.locator("img").first.bounding_box()
        height = shown.evaluate("document.documentElement.scrollHeight")
    assert figure is not None
    assert figure["height"] > 100, "the figure is there"
    assert figure["y"] + figure["height"] <= 800
    assert height <= 2.2 * 800


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
    figures = README.partition(BEGIN)[2].partition(END)[0].strip()
    measured = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))
    assert figures == headlines(measured)
    assert sorted(line.split(": ")[0].removeprefix("- ") for line in figures.splitlines()) == sorted(
        HEADLINES
    )


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
