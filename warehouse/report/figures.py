"""The figures of the report, in the order a reader asks for them. A figure is pictures, a caption, a table and where it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from warehouse.charts import (
    contrast_by_language_and_size,
    cost_by_step,
    critical_errors_by_cell,
    length_by_method_language,
    score_by_method_language,
    score_by_model_size,
    training_curve,
    unscored_by_judge,
)
from warehouse.charts.theme import Order, Panel, Row, Rows, number
from warehouse.report import tables
from warehouse.report.study import DETECTORS, NOT_A_MERIT, StudyRows, datasets
from warehouse.report.svg import Picture, picture
from warehouse.report.tables import Column, Table

Chart = Callable[[Rows, Order], list[Panel]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Pictures with their caption, table and source."""

    anchor: str
    heading: str
    caption: str
    pictures: tuple[Picture, ...]
    table: Table
    view: str
    """Where the numbers come from."""
    steps: tuple[str, ...]
    """The steps that made them."""


@dataclass(frozen=True, slots=True)
class Section:
    """A question of the reader, and the figures that answer it."""

    anchor: str
    heading: str
    says: tuple[str, ...]
    figures: tuple[Figure, ...] = ()


def sections(study: StudyRows) -> list[Section]:
    """Everything that is drawn, from the scores down to what they cost."""
    return [_languages(study), _sizes(study), _contrasts(study), _errors(study), _training(study), _lengths(study), _unscored(study), _cost(study)]


# ---------------------------------------------------------------- scores


def _languages(study: StudyRows) -> Section:
    rows = study.of_interest(study.views["score_by_method_language"])
    columns = (
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("method", "method"),
        tables.text("train_languages", "tuned on"),
        tables.estimate("mean_score", "mean [95% interval]"),
        tables.decimal("standard_error", "standard error", 3),
        *_COUNTS,
        tables.count("n_seeds", "seeds"),
        tables.decimal("mean_characters", "mean characters", 0),
    )
    says = () if rows else ("Nothing has been scored yet.",)
    return Section("languages", "Methods by language", says, _by_measure(study, rows, score_by_method_language.chart, "score_by_method_language", columns))


def _sizes(study: StudyRows) -> Section:
    heading = "Methods by model size"
    rows = study.of_interest(study.views["score_by_model_size"])
    sizes = {row["num_parameters"] for row in rows if row["num_parameters"]}
    if len(sizes) < 2:
        size = f", of {next(iter(sizes)):,} parameters" if sizes else ""
        models = study.order.models
        says = (
            f"The study has one model{size}: there is nothing to compare by size."
            if len(models) == 1
            else "The sizes of these models are not known, or they are the same: there is nothing to compare by size."
        )
        return Section("sizes", heading, (says,))
    columns = (
        tables.text("method", "method"),
        tables.text("model", "model"),
        tables.count("num_parameters", "parameters"),
        tables.estimate("mean_score", "mean [95% interval]"),
        *_COUNTS,
        tables.count("n_items", "items"),
        tables.count("n_languages", "languages"),
    )
    says = ()
    if any(row["n_languages"] > 1 for row in rows):
        says = ("These means run over all languages. A judge need not be equally strict in each, so read them as a trend, and languages above one by one.",)
    ranked = sorted(study.order.sort(rows), key=lambda row: row["num_parameters"] or 0)
    ranked = sorted(ranked, key=lambda row: study.order.methods.index(row["method"]))
    return Section("sizes", heading, says, _by_measure(study, ranked, score_by_model_size.chart, "score_by_model_size", columns))


def _contrasts(study: StudyRows) -> Section:
    heading = "Contrasts"
    rows = [row for row in study.views["contrast_by_language_and_size"] if study.kind_of(row) not in NOT_A_MERIT]
    if not rows:
        return Section("contrasts", heading, ("The study asks for no contrast.",))
    columns = (
        Column("contrast", lambda row: f"{row['of']} − {row['against']}"),
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("of_train_languages", "first tuned on"),
        tables.text("against_train_languages", "second tuned on"),
        tables.estimate("estimate", "difference [95% interval]"),
        tables.count("n", "n (pairs)"),
        tables.count("n_lost", "items lost"),
        tables.count("n_unscored", "unscored"),
        tables.decimal("mean_of", "mean, first"),
        tables.decimal("mean_against", "mean, second"),
        tables.decimal("mean_characters_of", "characters, first", 0),
        tables.decimal("mean_characters_against", "characters, second", 0),
    )
    ranked = sorted(rows, key=lambda row: study.kind_of(row) in DETECTORS)
    says = ("Differences are taken item by item, within a language, where both methods have a score; an item that one side lacks is lost to the pair.",)
    return Section("contrasts", heading, says, _by_measure(study, ranked, contrast_by_language_and_size.chart, "contrast_by_language_and_size", columns))


# ---------------------------------------------------------------- errors, training, length


def _errors(study: StudyRows) -> Section:
    rows = study.views["critical_errors_by_cell"]
    columns = (
        Column("error", lambda row: critical_errors_by_cell.HEADINGS.get(row["error"], row["error"])),
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("method", "method"),
        tables.text("train_languages", "tuned on"),
        Column("share [95% interval]", _percent_interval, is_number=True),
        *_COUNTS,
    )
    said = "Wilson's interval has a width even where no error, or nothing but errors, was seen: none in 12 answers does not rule out one in five."
    return Section("errors", "Critical errors", (said,), _by_dataset(study, rows, critical_errors_by_cell.chart, "critical_errors_by_cell", columns))


def _training(study: StudyRows) -> Section:
    heading = "Training"
    # The first stage of a method that trains on top of another one's result is drawn with that other method.
    rows = [row for row in study.views["training_curve"] if row["is_last"]]
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
        tables.text("name", "logged as"),
        tables.decimal("first", "first"),
        tables.decimal("value", "last"),
        tables.count("global_step", "at step"),
        tables.count("steps", "logged"),
        tables.text("step_id", "step"),
    )
    steps = study.steps_of(trained=True)
    made = _figure(study, "training", "", training_curve.chart, study.order.sort(rows), "training_curve", columns, steps, table_rows=study.order.sort(ends))
    return Section("training", heading, (), (made,))


def _lengths(study: StudyRows) -> Section:
    rows = study.views["length_by_method_language"]
    columns = (
        tables.text("language", "language"),
        tables.text("model", "model"),
        tables.text("method", "method"),
        tables.text("train_languages", "tuned on"),
        tables.decimal("mean_characters", "mean characters", 0),
        tables.decimal("median_characters", "median characters", 0),
        tables.decimal("mean_new_tokens", "mean new tokens", 1),
        tables.count("n", "n"),
        tables.count("n_missing", "missing"),
    )
    return Section("lengths", "Length", (), _by_dataset(study, rows, length_by_method_language.chart, "length_by_method_language", columns))


def _unscored(study: StudyRows) -> Section:
    heading = "Unscored"
    rows = study.views["unscored_by_judge"]
    columns = (
        tables.text("measure", "measure"),
        tables.text("language", "language"),
        tables.text("method", "method"),
        tables.share("share_unscored", "unscored"),
        tables.count("n_unscored", "n unscored"),
        tables.count("n", "n scored"),
        tables.text("most_common_reason", "most common reason"),
    )
    if not any(row["n_unscored"] for row in rows):
        return Section("unscored", heading, ("Every verdict that was given has a score." if rows else "No verdict has been given yet.",))
    made = _figure(study, "unscored", "", unscored_by_judge.chart, rows, "unscored_by_judge", columns, study.steps_of(), table_rows=[row for row in rows if row["n_unscored"]])
    return Section("unscored", heading, (), (made,))


def _cost(study: StudyRows) -> Section:
    rows = [row for row in study.views["cost_by_step"] if row["is_done"]]
    if not rows:
        return Section("cost", "Cost", ("No step has finished yet.",))
    columns = (
        tables.text("kind", "kind"),
        tables.text("methods", "methods"),
        tables.text("languages", "languages"),
        tables.decimal("seconds", "seconds", 1),
        tables.decimal("load_seconds", "of them loading", 1),
        tables.count("n_rows", "rows"),
        tables.count("n_reused", "taken over"),
        tables.count("n_prompt_tokens", "prompt tokens"),
        tables.count("n_new_tokens", "new tokens"),
        tables.decimal("usd", "US dollars"),
        tables.size("peak_memory_bytes", "peak memory (GB)"),
        tables.count("n_attempts", "attempts"),
        tables.count("n_failed", "failed"),
        tables.text("step_id", "step"),
    )
    made = _figure(study, "cost", "", cost_by_step.chart, rows, "cost_by_step", columns, [row["step_id"] for row in rows])
    return Section("cost", "Cost", (_spent(rows),), (made,))


def _spent(rows: Rows) -> str:
    """The whole study's cost in a sentence."""

    def total(key: str) -> Any:
        return sum(row[key] or 0 for row in rows)

    said = f"{len(rows):,} steps took {number(total('seconds') / 60, 1)} minutes, for {total('n_prompt_tokens'):,} prompt tokens and {total('n_new_tokens'):,} new ones"
    if total("usd"):
        said += f", and {number(total('usd'))} US dollars"
    if total("n_reused"):
        said += f"; {total('n_reused'):,} of {total('n_rows'):,} rows were taken over from earlier work"
    peak = max((row["peak_memory_bytes"] or 0 for row in rows), default=0)
    return said + (f". No step used more than {number(peak / 1e9, 1)} GB of memory." if peak else ".")


# ---------------------------------------------------------------- shared

_COUNTS = (tables.count("n", "n"), tables.count("n_unscored", "unscored"))


def _by_measure(study: StudyRows, rows: Rows, chart: Chart, view: str, columns: Sequence[Column]) -> tuple[Figure, ...]:
    """A figure for each data set and measure, measures in the order of the rows."""
    several = len(datasets(rows)) > 1
    return tuple(
        _figure(
            study,
            f"{view}-{place}",
            f"`{measure}`" + (f" on {dataset}" if several else ""),
            chart,
            [row for row in rows if (row["dataset"], row["measure"]) == (dataset, measure)],
            view,
            columns,
            study.steps_of(dataset, judge),
        )
        for place, (dataset, measure, judge) in enumerate(dict.fromkeys((row["dataset"], row["measure"], row["judge"]) for row in rows))
    )


def _by_dataset(study: StudyRows, rows: Rows, chart: Chart, view: str, columns: Sequence[Column]) -> tuple[Figure, ...]:
    several = len(datasets(rows)) > 1
    return tuple(
        _figure(
            study,
            f"{view}-{place}",
            f"on {dataset}" if several else "",
            chart,
            study.order.sort(row for row in rows if row["dataset"] == dataset),
            view,
            columns,
            study.steps_of(dataset),
        )
        for place, dataset in enumerate(datasets(rows))
    )


def _figure(
    study: StudyRows,
    anchor: str,
    heading: str,
    chart: Chart,
    rows: Rows,
    view: str,
    columns: Sequence[Column],
    steps: Sequence[str],
    table_rows: Rows | None = None,
) -> Figure:
    caption = (chart.__doc__ or "").partition("\n")[0]
    drawn = tuple(
        picture(panel, f"{anchor}-{place}", f"{caption} The numbers are in the table below.") for place, panel in enumerate(chart(rows, study.order))
    )
    ordered = rows if table_rows is None else table_rows
    if any("language" in row for row in ordered):
        places = {language: place for place, language in enumerate(study.order.languages)}
        ordered = sorted(ordered, key=lambda row: places.get(row["language"], len(places)))
    return Figure(anchor, heading, caption, drawn, tables.table(columns, ordered), view, tuple(steps))


def _percent_interval(row: Row) -> str:
    if row["share"] is None:
        return "–"
    return f"{number(100 * row['share'], 0)}% [{number(100 * row['ci_low'], 0)}, {number(100 * row['ci_high'], 0)}]"


def _curve_key(row: Row) -> tuple[str, ...]:
    return (row["step_id"], row["method"], row["train_languages"], row["model"], row["name"])
