"""Means of methods by language and by size, and trends with size."""

from dataclasses import replace
from typing import Any

from warehouse.charts.theme import Row, Rows, place, with_interval
from warehouse.report import tables
from warehouse.report.figures import COUNTS, Figure, Section, by_measure, cell, listing, model
from warehouse.report.grids import Grid, mean_grids
from warehouse.report.prose import UNTESTED, listed
from warehouse.report.sections.contrasts import P_VALUES, corrected, named_by_freedom
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column, Table
from warehouse.report.wording import language_name


def languages(study: StudyRows) -> Section:
    rows = study.of_interest(study.views["score_by_method_language"])
    first = study.first_measure(rows)
    columns = (
        *cell(study),
        tables.estimate("mean_score", "mean [95% interval]"),
        tables.decimal("standard_error", "standard error", 3),
        *COUNTS,
        tables.count("n_seeds", "seeds"),
        tables.decimal("mean_characters", "mean characters", 0),
    )
    says = (UNTESTED,) if rows else ("Nothing has been scored yet.",)
    return Section(
        "languages",
        "Methods by language",
        says,
        by_measure(
            study,
            "score_by_method_language",
            rows,
            columns,
            brief=lambda found: _matrix(study, found),
            drawn=lambda found: ((), "Drawn at the top.") if found == first else _drawn(study, found),
        ),
    )


def _drawn(study: StudyRows, rows: Rows) -> tuple[tuple[Grid, ...], str]:
    """The means as grids; where all methods score the same in each language, a sentence instead."""
    means: dict[tuple[str, str], set[float | None]] = {}
    for row in rows:
        means.setdefault((row["language"], row["model"]), set()).add(row["mean_score"])
    if len(study.order.methods) > 1 and all(len(found) == 1 for found in means.values()):
        same = [
            f"{_mean(study, row)} in {language_name(row['language'])}"
            + (f" ({row['model']})" if len(study.order.models) > 1 else "")
            for row in {(row["language"], row["model"]): row for row in study.order.sort(rows)}.values()
            if row["mean_score"] is not None
        ]
        return (), f"All methods score the same: {listed(same)}." if same else "Nothing was scored."
    return mean_grids(study.order.sort(rows), study.order, study.words), ""


def _mean(study: StudyRows, row: Row) -> str:
    """A mean as the grids show it: of an error, the share of answers without it."""
    value, words = row["mean_score"], study.words
    return words.mean(row, 1 - value if words.is_error(row) and words.is_share(row) else value)


def sizes(study: StudyRows) -> Section:
    heading = "Methods by model size"
    rows = study.of_interest(study.views["score_by_model_size"])
    known = {row["num_parameters"] for row in rows if row["num_parameters"]}
    if len(known) < 2:
        size = f", of {next(iter(known)):,} parameters" if known else ""
        models = study.order.models
        says = (
            f"The study has one model{size}: there is nothing to compare by size."
            if len(models) == 1
            else (
                "The sizes of these models are not known, or they are the same: there is nothing to compare"
                " by size."
            )
        )
        return Section("sizes", heading, (says,))
    columns = (
        tables.text("method", "method"),
        tables.text("model", "model"),
        tables.count("num_parameters", "parameters"),
        tables.estimate("mean_score", "mean [95% interval]"),
        *COUNTS,
        tables.count("n_items", "items"),
        tables.count("n_languages", "languages"),
    )
    ranked = sorted(study.order.sort(rows), key=lambda row: row["num_parameters"] or 0)
    ranked = sorted(ranked, key=lambda row: place(study.order.methods, row["method"]))
    means = by_measure(study, "score_by_model_size", ranked, columns)
    trends = (*_trends(study), *_other_trends(study))
    says = _found([row for view in _TRENDS for row in study.compared(study.views[view])])
    if not trends:
        # over few models a line from one to the next would look like a trend
        means = tuple(replace(one, draw=None, legend="") for one in means)
    return Section(
        "sizes", heading, says, trends, more=means, more_heading="Means over the languages by model size"
    )


def _trends(study: StudyRows) -> tuple[Figure, ...]:
    """Return trends of contrasts with size and the sizes where methods are equal, of measures that have
    any."""
    points = study.views["contrast_by_language_and_size"]
    rows = [
        {
            **row,
            "points": [
                p for p in points if p["num_parameters"] and all(p[key] == row[key] for key in _TREND)
            ],
        }
        for row in named_by_freedom(study.compared(study.views["size_trend"]))
    ]
    columns = (
        Column("contrast", lambda row: f"{row['of']} − {row['against']}"),
        tables.text("language", "language"),
        *tables.aside(
            tables.text("of_train_languages", "first tuned on"),
            tables.text("against_train_languages", "second tuned on"),
        ),
        *_SLOPE,
        Column("equal at", _crossing),
        Column("why not", lambda row: row["no_slope_reason"] or row["no_crossing_reason"] or ""),
        *_COUNTED,
    )
    found = {(row["dataset"], row["measure"]) for row in rows if row["slope"] is not None}
    return by_measure(
        study,
        "size_trend",
        [row for row in rows if (row["dataset"], row["measure"]) in found],
        columns,
    )


def _other_trends(study: StudyRows) -> tuple[Figure, ...]:
    """Return tables of each method's own trend and of gaps between languages by size, where there are
    any."""
    found: list[Figure] = []
    for view, heading, said, columns in (
        (
            "score_size_trend",
            "Trends of scores with size",
            "Change of a method's mean for ten times the parameters.",
            _METHOD,
        ),
        (
            "language_gap_size_trend",
            "Method × size × language",
            (
                "Change, for ten times the parameters, of a difference between two methods in one language"
                " minus that in another."
            ),
            (
                Column("contrast", lambda row: f"{row['of']} − {row['against']}"),
                Column("gap between", lambda row: f"{row['language']} − {row['other_language']}"),
                *tables.aside(
                    tables.text("of_train_languages", "first tuned on"),
                    tables.text("against_train_languages", "second tuned on"),
                ),
            ),
        ),
    ):
        known = study.compared(study.views[view])
        rows = [row for row in known if row["slope"] is not None or row["family"] == "confirmatory"]
        shown = (
            tables.text("measure", "measure"),
            *columns,
            *_SLOPE,
            tables.text("no_slope_reason", "why not"),
            *_COUNTED,
        )
        if any(row["slope"] is not None for row in rows):
            found.append(listing(study, view, rows, shown, anchor=view, heading=heading, caption=said))
    return tuple(found)


def _found(trends: Rows) -> tuple[str, ...]:
    """Summarise the trends: of contrasts, where there are any."""
    sloped = [row for row in trends if row["slope"] is not None]
    if not sloped:
        reasons = {row["no_slope_reason"]: None for row in trends} or {
            "nothing was scored on two models": None
        }
        return (
            *(f"No trend with size can be estimated: {reason}." for reason in reasons),
            "Models may also differ in more than their size.",
        )
    sloped = [row for row in sloped if "crossing" in row]
    if not sloped:
        return ()
    crossed = sum(row["crossing"] is not None for row in sloped)
    once = "Models trained with one seed: the models' scatter around a line holds that of training runs."
    return (
        *corrected(sloped, "trend"),
        "The size at which two methods are equal can"
        + (f" be estimated for {crossed}." if crossed else "'t be estimated for any; the table says why."),
        *((once,) if any(row["n_seeds"] == 1 for row in sloped) else ()),
    )


def _crossing(row: Row) -> str:
    """Return the size at which two methods are equal and its interval, which may be open on either side."""
    if row["crossing"] is None:
        return "not estimable"
    low = "smaller" if row["crossing_low"] is None else parameters(row["crossing_low"])
    high = "larger" if row["crossing_high"] is None else parameters(row["crossing_high"])
    return f"{parameters(row['crossing'])} [{low}, {high}]"


def parameters(size: float) -> str:
    """A number of parameters as people say it: 135M, 1.7B."""
    billions = size / 1e9
    return f"{billions:.2g}B" if billions >= 0.995 else f"{size / 1e6:.3g}M"


_METHOD = (
    tables.text("language", "language"),
    tables.text("method", "method"),
    tables.text("train_languages", "tuned on"),
)
_SLOPE = (tables.estimate("slope", "for ten times the parameters [95% interval]"), *P_VALUES)
_COUNTED = (
    tables.count("n", "n"),
    tables.count("n_items", "items"),
    tables.count("n_models", "models"),
    tables.count("n_sizes", "sizes"),
    tables.count("n_seeds", "seeds"),
)
_TRENDS = ("size_trend", "score_size_trend", "language_gap_size_trend")
_TREND = ("contrast", "dataset", "language", "of_train_languages", "against_train_languages", "measure")


def _matrix(study: StudyRows, rows: Rows) -> Table:
    """Methods down, languages across: what a paper shows."""
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in study.order.sort(rows):
        tuned = row["train_languages"] if row["train_languages"] != row["language"] else ""
        line = lines.setdefault(
            (row["method"], row["model"], tuned),
            {"method": row["method"], "model": row["model"], "tuned": tuned},
        )
        line[f"in {row['language']}"] = _with_counts(row)
    names = (tables.text("method", "method"), *model(study), tables.text("tuned", "tuned on"))
    present = {row["language"] for row in rows}
    columns = [
        replace(tables.text(f"in {code}", f"{code} [95% interval] (n)"), is_number=True)
        for code in study.order.languages
        if code in present
    ]
    return tables.table((*names, *columns), list(lines.values()))


def _with_counts(row: Row) -> str:
    unscored = f", {row['n_unscored']} unscored" if row["n_unscored"] else ""
    if row["mean_score"] is None:
        return f"– (0{unscored})"
    return f"{with_interval(row['mean_score'], row['ci_low'], row['ci_high'])} ({row['n']}{unscored})"
