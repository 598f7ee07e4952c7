"""What the study could have detected."""

from math import sqrt
from statistics import median
from typing import Any

from warehouse.charts.theme import number
from warehouse.report import tables
from warehouse.report.figures import Section, listing
from warehouse.report.prose import value_range
from warehouse.report.study import StudyRows
from warehouse.statistics.power import minimum_detectable_effect

CAPTION = (
    "The smallest true difference that a paired two-sided test at 5% would find four times out of five, from how much the differences "
    "vary from item to item; and the same where the first step of Holm's correction over all confirmatory tests has to be passed."
)


def detectable(study: StudyRows) -> list[dict[str, Any]]:
    """A row for each contrast, data set, language and measure whose differences vary: what it could detect, in the score's unit.

    On any one model, with all the items that were judged on either side; every model is a test of its own, as in a plan.
    """
    tests: dict[tuple[str, ...], int | None] = {}
    items: dict[tuple[str, ...], int] = {}
    for row in study.views["contrast_by_language_and_size"]:
        place = (row["contrast"], row["dataset"], row["language"], row["measure"])
        tests[place] = row["n_tests"] if row["family"] == "confirmatory" else None
        items[place] = max(items.get(place, 0), row["n"] + row["n_lost"])
    rows: list[dict[str, Any]] = []
    for spread in study.spreads:
        place = (spread.contrast, spread.dataset, spread.language, spread.measure)
        if place not in items:  # of a contrast that is tested by its change with language or size
            continue
        n, n_tests = items[place], tests[place]
        deviation = sqrt(spread.variance)
        rows.append(
            {
                "contrast": spread.contrast,
                "dataset": spread.dataset,
                "language": spread.language,
                "judge": spread.judge,
                "measure": spread.measure,
                "deviation": deviation,
                "n": n,
                "n_tests": n_tests,
                "effect": minimum_detectable_effect(deviation, n),
                "effect_corrected": minimum_detectable_effect(deviation, n, n_tests) if n_tests else None,
            }
        )
    return rows


def power(study: StudyRows) -> Section | None:
    rows = study.of_interest(detectable(study))
    if not rows:
        return None
    columns = (
        tables.text("measure", "measure"),
        tables.text("contrast", "contrast"),
        tables.text("dataset", "data set"),
        tables.text("language", "language"),
        tables.count("n", "n (items)"),
        tables.decimal("deviation", "standard deviation"),
        tables.decimal("effect", "detectable difference"),
        tables.decimal("effect_corrected", "after Holm's first step"),
        tables.count("n_tests", "tests"),
    )
    known = [row for row in rows if row["effect"] is not None and row["measure"] == rows[0]["measure"]]
    said = 'A true difference smaller than this was likely to be missed, so "not significant" does not mean "equal".'
    first = (
        f" On `{rows[0]['measure']}`, with {value_range(row['n'] for row in known)} items, that is {number(median(row['effect'] for row in known))} "
        "in the median."
        if known
        else ""
    )
    made = listing(study, "paired_scores", rows, columns, study.steps_of(), anchor="detectable", caption=CAPTION)
    return Section("power", "What could have been detected", (said + first,), (made,))
