"""Training metrics and the cost of every step."""

from dataclasses import replace
from itertools import groupby
from typing import Any

from warehouse.charts.theme import Row, Rows, number
from warehouse.report import tables
from warehouse.report.figures import ON_SCREEN, Figure, Section, figure, listing
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column


def training(study: StudyRows) -> Section:
    heading = "Training"
    logged = study.views["training_curve"]
    # What a method trained on top of is drawn with the method that it belongs to, where the study has that
    # one too.
    own = {row["step_id"] for row in logged if row["is_last"]}
    rows = study.order.sort(row for row in logged if row["is_last"] or row["step_id"] not in own)
    if not rows:
        return Section("training", heading, ("Nothing was trained, or nothing has been logged yet.",))
    ends = [
        {**last, "first": group[0]["value"], "steps": len(group)}
        for _, found in groupby(sorted(rows, key=_curve_key), _curve_key)
        if (group := list(found)) and (last := group[-1])
    ]
    columns = (
        tables.text("method", "method"),
        tables.text("model", "model"),
        tables.text("train_languages", "tuned on"),
        tables.text("seed", "seed"),
        tables.text("varied", "tried"),
        tables.text("name", "logged as"),
        tables.decimal("first", "first"),
        tables.decimal("value", "last"),
        tables.count("global_step", "at step"),
        tables.count("steps", "logged"),
        tables.text("step_id", "step"),
    )
    made = figure(study, "training_curve", rows, columns, anchor="curves", table_rows=study.order.sort(ends))
    return Section("training", heading, (), (*_effort(study), replace(made, brief=ON_SCREEN)))


def _effort(study: StudyRows) -> tuple[Figure, ...]:
    """Return the tables of effort by method, and of the values that were tried."""
    effort = (
        tables.text("method", "method"),
        tables.text("model", "model"),
        tables.count("n_trainings", "trainings"),
        tables.count("n_tried", "values tried"),
        Column("diverged", lambda row: str(row["n_diverged"] or "–"), is_number=True),
        tables.count("n_optimiser_steps", "optimiser steps"),
        tables.count("n_tokens", "tokens"),
        tables.decimal("seconds", "seconds", 1),
        tables.count("n_validation_rows", "validation rows"),
        tables.count("num_fewshot", "demonstrations"),
        tables.count("n", "n (cells)"),
    )
    trials = (
        tables.text("method", "method"),
        tables.text("model", "model"),
        tables.text("train_languages", "tuned on"),
        tables.text("seed", "seed"),
        tables.text("varied", "tried"),
        tables.text("metric_for_best_model", "chosen by"),
        tables.decimal("best_metric", "best"),
        tables.count("best_global_step", "at step"),
        tables.count("n", "n (validation rows)"),
        Column("chosen", lambda row: "yes" if row["is_chosen"] else "no"),
    )
    found = [
        ("tuning_effort", effort, "Training, tuning and demonstrations behind each method's answers."),
        ("tuning_trials", trials, "Values that were tried. The choice was made on validation rows alone."),
    ]
    return tuple(
        listing(study, view, rows, columns, anchor=view.replace("_", "-"), caption=caption)
        for view, columns, caption in found
        if (rows := study.views[view])
    )


def cost(study: StudyRows) -> Section:
    rows = [row for row in study.views["cost_by_step"] if row["is_done"]]
    if not rows:
        return Section("cost", "Cost", ("No step has finished yet.",))
    columns = (
        tables.text("kind", "kind"),
        tables.text("methods", "methods"),
        tables.text("languages", "languages"),
        tables.decimal("seconds", "seconds", 1),
        tables.decimal("start_seconds", "of them starting", 1),
        tables.decimal("load_seconds", "of them loading", 1),
        tables.count("n_rows", "rows"),
        tables.count("n_reused", "reused"),
        tables.count("n_prompt_tokens", "prompt tokens"),
        tables.count("n_new_tokens", "new tokens"),
        tables.decimal("usd", "US dollars"),
        tables.size("peak_memory_bytes", "peak memory (GB)"),
        tables.count("n_attempts", "attempts"),
        tables.count("n_failed", "failed"),
        tables.text("step_id", "step"),
    )
    made = figure(study, "cost_by_step", rows, columns, anchor="spent")
    steps = replace(made, brief=ON_SCREEN)
    return Section("cost", "Cost", (_spent(rows),), _by_model(study), (steps,), "Time by step")


def _by_model(study: StudyRows) -> tuple[Figure, ...]:
    rows = study.views["cost_by_model"]
    if not rows:
        return ()
    columns = (
        tables.text("model", "model"),
        tables.text("kind", "kind"),
        tables.count("n_steps", "steps"),
        tables.decimal("seconds", "seconds", 1),
        tables.decimal("start_seconds", "of them starting", 1),
        tables.decimal("load_seconds", "of them loading", 1),
        tables.decimal("work_seconds", "of them working", 1),
    )
    return (figure(study, "cost_by_model", rows, columns, anchor="by-model"),)


def _spent(rows: Rows) -> str:
    """The whole study's cost in a sentence."""

    def total(key: str) -> Any:
        return sum(row[key] or 0 for row in rows)

    said = (
        f"{len(rows):,} steps took {number(total('seconds') / 60, 1)} minutes, for"
        f" {total('n_prompt_tokens'):,} prompt tokens "
    )
    said += f"and {total('n_new_tokens'):,} new ones"
    if total("usd"):
        said += f", and {number(total('usd'))} US dollars"
    if total("n_reused"):
        said += f"; {total('n_reused'):,} of {total('n_rows'):,} rows were reused from earlier work"
    peak = max((row["peak_memory_bytes"] or 0 for row in rows), default=0)
    return said + (f". No step used more than {number(peak / 1e9, 1)} GB of memory." if peak else ".")


def _curve_key(row: Row) -> tuple[str, ...]:
    return (row["step_id"], row["method"], row["train_languages"], row["model"], row["name"])
