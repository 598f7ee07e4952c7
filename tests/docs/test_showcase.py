"""The showcase's page, its figures and the README's finding derive from packed rows."""

import re
import zipfile
from pathlib import Path

import duckdb
import pytest

import xp
from tests.docs.showcase import BUNDLE, FIGURES, NO_ROWS, ROOT, figure, rows_of, table

PAGE = BUNDLE.with_suffix(".md").read_text("utf-8")
PLACES = "model | language |"
"""Columns of the tables that a section's findings stand in."""
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")

IN_ORDER = (
    "english_examples",
    "examples_help",
    "sft_against_examples",
    "dpo_against_examples",
    "dpo_over_sft",
    "dpo_over_base",
)
"""Contrasts in the order of the page's questions."""

DECLARED = """
    select contrast, count(*) as declared, count(*) filter (is_significant) as significant,
        count(*) filter (measure = 'correct') as on_right_answers
    from contrast_by_language_and_size
    where experiment = 'showcase' and family = 'confirmatory'
    group by contrast
"""
TUNED = "select distinct (facts ->> 'n_rows')::int as n from steps where kind = 'sft'"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one table of two rows, and a view of it."""
    rows = tmp_path / "scores.parquet"
    duckdb.sql(f"copy (select * from (values ('fr', 1 / 3), ('en', null)) t(language, score)) to '{rows}'")
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("schema.sql", "create table scores (score double, language varchar);")
        file.write(rows, "rows/scores.parquet")
        file.writestr("views.sql", "create view by_language as from scores order by language;")
    return packed


def test_a_query_stands_above_what_it_finds_in_the_packed_rows(bundle: Path) -> None:
    assert table("  select language, score from by_language\n", bundle) == (
        "```sql\nselect language, score from by_language\n```\n\n"
        "| language | score |\n| --- | --- |\n| en |  |\n| fr | 0.333 |\n"
    )


def test_a_query_of_a_column_that_no_view_has_is_refused_before_there_are_rows(tmp_path: Path) -> None:
    nowhere = tmp_path / "study.zip"
    assert table("select estimate from contrast_by_language_and_size", nowhere).endswith(f"\n{NO_ROWS}\n")
    with pytest.raises(duckdb.Error, match="estimated"):
        table("select estimated from contrast_by_language_and_size", nowhere)


def test_a_long_query_is_folded_with_what_it_finds(bundle: Path) -> None:
    folded = table("select language from by_language", bundle, folded="The query")
    assert folded.startswith('<details markdown="1">\n<summary>The query</summary>\n\n```sql\n')
    assert folded.endswith("| fr |\n\n</details>\n")


def test_every_number_of_a_finding_stands_in_the_table_below_it() -> None:
    """Shares in percent and differences in points, as the rows have them once they are rounded."""
    n_said, wrong = 0, list[str]()
    for section in PAGE.split("\n## ")[1:]:
        told, _, made = section.partition("<!-- [[[cog")
        rows = "\n".join(line for line in made.splitlines() if line.startswith("|"))
        points = [100 * abs(float(number)) for number in re.findall(r"-?\d+(?:\.\d+)?", rows)]
        in_table = {whole for found in points for whole in (round(found - 1e-6), round(found + 1e-6))}
        said = re.findall(r"\d+(?=%)|(?<=\[)-?\d+|-?\d+(?=\]| \[)", told) if PLACES in made else []
        n_said += len(said)
        wrong += [f"{section.splitlines()[0]}: {one}" for one in said if abs(int(one)) not in in_table]
    assert not wrong
    assert n_said > 40


def test_the_counts_of_what_it_found_are_those_of_the_declared_comparisons() -> None:
    found = {row["contrast"]: row for row in rows_of(DECLARED)}
    told = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\d+ of \d+) \|$", PAGE, re.MULTILINE)
    assert [said for _, _, said in told] == [
        f"{found[name]['significant']} of {found[name]['declared']}" for name in IN_ORDER
    ]
    for (_, answer, _), name in zip(told, IN_ORDER, strict=True):
        number = re.search(f"in ({'|'.join(NUMBERS)}) places?$", answer)
        assert number is None or NUMBERS.index(number[1]) == found[name]["significant"], answer
    head = " ".join(PAGE.partition("## Question")[0].split())
    for text, name in (
        ("gives more right answers than three examples in {} of {} places", "sft_against_examples"),
        ("gives fewer than the examples in {} of {},", "dpo_against_examples"),
    ):
        counts = (found[name]["significant"], found[name]["on_right_answers"])
        assert text.format(*(NUMBERS[n] for n in counts)) in head
    declared = [sum(row[name] for row in found.values()) for name in ("declared", "significant")]
    assert "Of {} declared comparisons {} are significant.".format(*declared) in PAGE


def test_the_difference_that_would_be_missed_is_the_report_s() -> None:
    (said,) = re.findall(r"A true difference below about (\d+) points on `correct` would be\n", PAGE)
    quoted = " ".join(line.removeprefix("> ") for line in PAGE.splitlines() if line.startswith("> "))
    assert f"below about {said} points on `correct` would be missed" in quoted


def test_the_numbers_of_items_are_set_beside_what_a_plan_says_of_them(tmp_path: Path) -> None:
    planned = xp.load(ROOT / "specs" / "showcase.yaml", store=tmp_path / "empty").plan()
    told = " ".join(PAGE.partition("**How many.**")[2].partition("\n\n")[0].split())
    needed = {(one.items and one.items.n, one.items and one.items.n_now) for one in planned.needed(0.17)}
    assert {n for n, _ in needed} == {int(re.findall(r"asks for (\d+) items", told)[0])}
    assert (min(n or 0 for _, n in needed), max(n or 0 for _, n in needed)) == (36, 120)
    effects = {one.measure: one.effect_corrected for one in planned.power if one.is_confirmatory}
    points = {measure: f"{100 * (effect or 0):.0f}" for measure, effect in effects.items()}
    assert points["language"] == points["loop"]
    assert (
        f"about {points['correct']} points on `correct`, {points['follows.strict']} on `follows` and"
        f" {points['loop']} on `language` and `loop`"
    ) in told


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_of_the_packed_rows(name: str) -> None:
    assert f"(showcase/{name}.svg)" in PAGE
    held = (BUNDLE.with_suffix("") / f"{name}.svg").read_text("utf-8")
    assert held == figure(name), "python -m tests.docs.showcase"


def test_no_other_figure_lies_beside_the_page() -> None:
    assert {path.stem for path in BUNDLE.with_suffix("").glob("*.svg")} == set(FIGURES)


def test_the_finding_of_the_readme_is_that_of_the_rows() -> None:
    (row,) = rows_of(
        "from contrast_by_language_and_size where contrast = 'english_examples' and measure = 'language' and"
        " model = 'gemma-3-270m' and language = 'fr'"
    )
    low, high = (round(-100 * row[f"{end}_corrected"]) for end in ("ci_high", "ci_low"))
    found = {one["contrast"]: one for one in rows_of(DECLARED)}
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    for said in (
        f"{100 * (1 - row['mean_of']):.0f}% of its French answers",
        f"difference {-100 * row['estimate']:.0f} points, simultaneous 95% interval {low} to {high},"
        f" {row['n']} answers",
        f"{sum(one['declared'] for one in found.values())} comparisons declared",
    ):
        assert said in readme
    assert row["mean_against"] == 1, "none do"
