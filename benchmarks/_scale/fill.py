"""Puts a made-up study into a warehouse: straight into the tables by SQL, or as files in a store, for the
real loader to load."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from benchmarks._scale.study import Shape, settings_of
from dsl.plan.study import Study
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_study
from warehouse.relations import computed_tables
from warehouse.statements import HERE, run_file, transaction
from warehouse.statistics.refresh import refresh_study

ROWS = Path(__file__).with_name("rows.sql")

_COMPLETIONS = "select * exclude (prompt, luck) from answers()"
_VERDICTS = "select * exclude (luck, is_model) from judgements()"


def fill_tables(
    connection: duckdb.DuckDBPyConnection, study: Study, shape: Shape, models: Sequence[str]
) -> None:
    """All rows of these models, as the loader would have left them. Nothing is computed of them yet."""
    _draw(connection, shape, models)
    with transaction(connection):
        _load_settings(connection, study, models)
    connection.execute("set preserve_insertion_order = false")
    for table, rows in (
        ("prompts", "select prompt_id, any_value(prompt) as text from sent group by all"),
        ("step_completions", _COMPLETIONS),
        ("step_verdicts", _VERDICTS),
    ):
        connection.execute(f"insert into {table} by name {rows}")
    usage = (
        "select step_id, sum(n_prompt_tokens)::bigint as n_prompt_tokens, sum(n_new_tokens)::bigint as"
        " n_new_tokens"
    )
    connection.execute(
        f"insert into step_usage by name {usage}, null::double as usd from step_completions group by all"
    )
    connection.execute(
        f"insert into step_usage by name {usage}, sum(usd) as usd from step_verdicts group by all"
    )
    connection.execute("reset preserve_insertion_order")


def write_files(store: Path, study: Study, shape: Shape, models: Sequence[str]) -> tuple[int, int]:
    """The steps of these models, finished, in a store. Returns (how many steps, how many rows)."""
    with connect(store / f"{WAREHOUSE}.scratch") as connection:
        load_study(connection, study)
        _draw(connection, shape, models)
        n_rows = 0
        key = "sha256(step_id || item) as row_key"
        for name, rows in (
            ("completions.jsonl", "* exclude (prompt_id, n_characters, luck) from answers()"),
            ("verdicts.jsonl", "* exclude (luck, is_model) rename (judge_key as judge) from judgements()"),
        ):
            cursor = connection.execute(
                "select step_id, string_agg(to_json(rows)::varchar, chr(10)) || chr(10), count(*) "
                f"from (select * exclude (step_id), step_id from (select {key}, {rows})) as rows"
                " group by step_id"
            )
            while found := cursor.fetchmany(50):
                for step_id, text, count in found:
                    folder = store / "steps" / step_id
                    folder.mkdir(parents=True)
                    (folder / name).write_text(text, "utf-8")
                    n_rows += count
    (store / f"{WAREHOUSE}.scratch").unlink()
    n_steps = 0
    for step_id, settings, outcome in settings_of(study, models):
        folder = store / "steps" / step_id
        (folder / "step.json").write_text(settings, "utf-8")
        (folder / "outcome.json").write_text(outcome, "utf-8")
        n_steps += 1
    return n_steps, n_rows


def copy_kept(
    connection: duckdb.DuckDBPyConnection, experiment: str, model: str, others: Sequence[str]
) -> None:
    """Copy the rows of one model to the others, as if all had the same rows; then what goes over all
    models is computed."""
    sizes = dict(connection.execute("select distinct model, num_parameters from cells").fetchall())
    with transaction(connection):
        for table in computed_tables():
            columns = [
                name
                for (name,) in connection.execute(
                    "select column_name from duckdb_columns() where table_name = ?", [table]
                ).fetchall()
            ]
            if "model" not in columns:  # a trend is of all models
                continue
            renamed = "$other as model" + (", $size as num_parameters" if "num_parameters" in columns else "")
            for other in others:
                named = {"other": other, "model": model} | (
                    {"size": sizes[other]} if "num_parameters" in columns else {}
                )
                connection.execute(
                    f"insert into {table} select * replace ({renamed}) from {table} where model = $model",
                    named,
                )
        refresh_study(connection, experiment)


def _draw(connection: duckdb.DuckDBPyConnection, shape: Shape, models: Sequence[str]) -> None:
    """Create the tables and macros that rows are made with."""
    run_file(
        connection, ROWS, models=list(models), datasets=list(shape.items), counts=list(shape.items.values())
    )


def _load_settings(connection: duckdb.DuckDBPyConnection, study: Study, models: Sequence[str]) -> None:
    _, settings, outcomes = zip(*settings_of(study, models), strict=True)
    made = {"outcomes": list(outcomes), "outcome_sha256s": ["0" * 64] * len(outcomes)}
    run_file(connection, HERE / "load" / "sql" / "step.sql", settings=list(settings), **made)
