"""Statistical power of the contrasts that were measured."""

from statistics import median
from typing import Any

from warehouse.charts.theme import Row, number
from warehouse.report import tables
from warehouse.report.figures import Section, listing
from warehouse.report.prose import value_range
from warehouse.report.study import StudyRows
from warehouse.statistics.power import minimum_detectable_effect, pooled

CAPTION = (
    "Minimum detectable effect: the smallest true difference that the paired test at 5% would find with a"
    " probability of 80%, from how differences vary over items and training runs; beside it at the first step"
    " of Holm's correction. None: no difference within the scale is."
)


def detectable(study: StudyRows) -> list[dict[str, Any]]:
    """Return the minimum detectable effects of each contrast, data set, language and measure.

    In the score's unit, for those whose differences vary.

    On any one model, with all the items that were judged on either side; every model is a test of its own, as
    in a plan.
    """
    places: dict[tuple[str, ...], list[Row]] = {}
    for row in study.views["contrast_by_language_and_size"]:
        places.setdefault((row["contrast"], row["dataset"], row["language"], row["measure"]), []).append(row)
    rows: list[dict[str, Any]] = []
    for spread in study.spreads:
        tested = places.get((spread.contrast, spread.dataset, spread.language, spread.measure))
        # of a contrast that is tested by its change with language or size, or that may stop at any item
        if tested is None or tested[0]["stopped_by"]:
            continue
        n = max(row["n"] + row["n_lost"] for row in tested)
        n_seeds = min((row["n_seeds"] for row in tested if row["n_seeds"] is not None), default=None)
        n_tests = (
            max(row["n_tests"] or 0 for row in tested) if tested[0]["family"] == "confirmatory" else None
        )
        possible = any(row["could_be_significant"] for row in tested)
        variation = pooled([spread])
        rows.append(
            {
                "contrast": spread.contrast,
                "dataset": spread.dataset,
                "language": spread.language,
                "judge": spread.judge,
                "measure": spread.measure,
                "deviation": variation.deviation,
                "n": n,
                "n_tests": n_tests,
                "n_seeds": n_seeds,
                "effect": minimum_detectable_effect(variation, n, 1, n_seeds) if possible else None,
                "effect_corrected": (
                    minimum_detectable_effect(variation, n, n_tests, n_seeds)
                    if possible and n_tests
                    else None
                ),
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
        tables.count("n_seeds", "training seeds"),
        tables.decimal("effect", "minimum detectable effect"),
        tables.decimal("effect_corrected", "after Holm's first step"),
        tables.count("n_tests", "tests"),
    )
    smallest = "effect_corrected" if rows[0]["n_tests"] else "effect"
    known = [row for row in rows if row[smallest] is not None and row["measure"] == rows[0]["measure"]]
    said = (
        "True differences below the minimum detectable effect are missed in more than a fifth of studies:"
        ' "not significant" does not mean "equal".'
    )
    first = (
        f" On `{rows[0]['measure']}`, with {value_range(row['n'] for row in known)} items, it is"
        f" {number(median(row[smallest] for row in known))} in the"
        f" median{', corrected' if rows[0]['n_tests'] else ''}."
        if known
        else ""
    )
    made = listing(study, "paired_scores", rows, columns, anchor="detectable", caption=CAPTION)
    return Section("power", "Statistical power", (said + first,), (made,))
