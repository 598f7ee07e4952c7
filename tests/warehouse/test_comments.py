"""Every table and view says in the database what a row of it is, in the words of its SQL file."""

from pathlib import Path

from warehouse.connect import WAREHOUSE, connect
from warehouse.relations import described, schema_files, table_files, view_files
from warehouse.statements import comments_of


def test_every_table_and_view_has_its_files_header_as_its_comment(tmp_path: Path) -> None:
    with connect(tmp_path / WAREHOUSE) as connection:
        found = dict(
            connection.execute(
                "select table_name, comment from duckdb_tables() where not internal"
                " union all select view_name, comment from duckdb_views() where not internal"
            ).fetchall()
        )
    files = (*view_files(), *table_files(), *schema_files())
    assert found == {name: text for file in files for name, text in comments_of(file).items()}
    assert found == {name: text for kind in described().values() for name, text in kind.items()}
    assert all(text.startswith("One row per ") for text in found.values())
    assert found["score_by_cell"].startswith("One row per cell and measure: the mean over items, with its")


def test_a_comment_keeps_its_quotes_and_its_lines_are_one(tmp_path: Path) -> None:
    file = tmp_path / "held.sql"
    file.write_text("-- One row per thing: it's\n-- `so`.\nselect 1 -- not this\n")
    assert comments_of(file) == {"held": "One row per thing: it's `so`."}
    file.write_text(
        "-- A file.\n\n-- One row per a.\ncreate table a (\n -- not this\n n int);\n\ncreate table b (n int);"
    )
    assert comments_of(file) == {"a": "One row per a."}
