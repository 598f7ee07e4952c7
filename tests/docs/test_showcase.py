"""The showcase's page derives its tables from packed rows."""

import re
import zipfile
from pathlib import Path

import duckdb
import pytest

from tests.docs.showcase import BUNDLE, NO_ROWS, table


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


def test_every_number_of_a_finding_stands_in_the_table_below_it() -> None:
    """Shares in percent and differences in points, as the rows have them once they are rounded."""
    page = (BUNDLE.parent / "showcase.md").read_text("utf-8")
    n_said, wrong = 0, list[str]()
    for section in page.split("\n## ")[1:]:
        told, _, made = section.partition("<!-- [[[cog")
        rows = "\n".join(line for line in made.splitlines() if line.startswith("|"))
        in_table = {round(100 * abs(float(number))) for number in re.findall(r"-?\d+(?:\.\d+)?", rows)}
        said = re.findall(r"\d+(?=%)|(?<=\[)-?\d+|-?\d+(?=\]| \[)", told) if rows else []
        n_said += len(said)
        wrong += [f"{section.splitlines()[0]}: {one}" for one in said if abs(int(one)) not in in_table]
    assert not wrong
    assert n_said > 40
