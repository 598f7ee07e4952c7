"""Views: each states its grain; base views read loaded tables; marts and materialised tables read both."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse.connect import WAREHOUSE, connect
from warehouse.relations import computed_tables, schema_files, table_files, view_files
from warehouse.statements import HERE

BASE = {file.stem for file in (HERE / "views" / "base").glob("*.sql")}
COMPUTED = set(computed_tables())
MARTS = {file.stem for file in (HERE / "views" / "marts").glob("*.sql")}


@pytest.fixture
def connection(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    return connect(tmp_path / WAREHOUSE)


def reads(connection: duckdb.DuckDBPyConnection, file: Path) -> set[str]:
    """The tables and views that a view's text names, its own common table expressions left out."""
    ((tree,),) = connection.execute(
        "select json_serialize_sql($sql)", {"sql": file.read_text("utf-8")}
    ).fetchall()
    nodes = list(walk(json.loads(tree)))
    own = {entry["key"] for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
    return {node["table_name"] for node in nodes if node.get("type") == "BASE_TABLE"} - own


def walk(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from walk(inner)


def test_base_views_read_what_was_loaded_and_marts_read_base_views_and_what_was_computed_from_them(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    tables = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    found = {file.stem: reads(connection, file) for file in (*view_files(), *table_files())}
    assert {
        name: read
        for name, read in found.items()
        if not read <= BASE | (tables - COMPUTED if name in BASE else COMPUTED)
    } == {}
    assert found["completions"] == {"cells", "steps", "step_completions"}
    assert found["completion_browser"] == {"shown_answers", "verdicts"}
    assert found["shown_answers"] == {"completions", "items", "sent_prompts"}
    assert not tables & (BASE | MARTS)


@pytest.mark.parametrize("file", [*view_files(), *table_files()], ids=lambda file: file.stem)
def test_a_view_opens_with_its_grain_and_keeps_to_lower_case(file: Path) -> None:
    text = file.read_text("utf-8")
    assert text.startswith("-- One row per ")
    assert len(text.splitlines()) <= 200
    assert max(map(len, text.splitlines())) <= 110
    code = re.sub(r"'[^']*'|--.*", "", text)
    assert code == code.lower()


def test_every_table_says_its_grain(connection: duckdb.DuckDBPyConnection) -> None:
    text = "".join(file.read_text("utf-8") for file in schema_files())
    described = re.findall(r"^-- One row per .*\n(?:-- .*\n)*create table ", text, re.MULTILINE)
    assert len(described) == text.count("create table ")


def test_the_marts_people_were_promised_are_there() -> None:
    assert {
        "score_by_cell",
        "score_by_method_language",
        "score_by_model_size",
        "contrast_by_language_and_size",
        "language_gap",
        "size_trend",
        "method_strength",
        "critical_errors_by_cell",
        "unscored_by_judge",
        "cost_by_step",
        "cost_by_model",
    } <= MARTS
