"""Contrasts of the study, and their gaps between languages."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from warehouse.charts.theme import Row, Rows, difference, with_interval
from warehouse.report import tables
from warehouse.report.figures import SCOPE, Section, by_measure, good_end, model, tuned
from warehouse.report.grids import contrast_grids
from warehouse.report.prose import CORRECTIONS, counted, listed
from warehouse.report.sections.people import corrected_by_people
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column

MOST_SEEN = 2
"""Measures whose contrasts are seen at once."""

CONTRAST = Column("contrast", difference)

DRAWN = "Shares are drawn in points of a hundred. Filled: significant after correction."

FAULTS = "Below zero the first is better: fewer of its answers have the fault."

SIGNIFICANT = "Significant: were the sides equal, such a difference would be rare, even among as many tests."

_TEST = " Sign-flip permutation test, and the 95% interval that inverts it."

E_VALUE = Column(
    "e-value", lambda row: "–" if row["e_value"] is None else f"{row['e_value']:.3g}", is_number=True
)

P_VALUES = (
    tables.probability("p_value", "p"),
    tables.probability("p_corrected", "p (corrected)"),
    tables.text("family", "family"),
)


def contrasts(study: StudyRows) -> Section:
    rows = study.views["contrast_by_language_and_size"]
    if not rows:
        said = (
            "Neither side of a contrast has been scored yet."
            if study.contrasts
            else "The study asks for no contrast."
        )
        return Section("contrasts", "Contrasts", (said,))
    columns = (
        CONTRAST,
        tables.text("language", "language"),
        *model(study),
        *tuned(
            study,
            tables.text("of_train_languages", "first tuned on"),
            tables.text("against_train_languages", "second tuned on"),
        ),
        tables.estimate("estimate", "difference [95% interval]"),
        E_VALUE,
        *P_VALUES,
        *tables.aside(Column("reading", reading)),
        tables.text("stopped_by", "stopped by"),
        Column("noise", lambda row: "within the floor" if row["is_below_noise"] else ""),
        tables.count("n", "n (pairs)"),
        tables.count("n_lost", "items lost"),
        tables.count("n_unscored", "unscored"),
        *tables.aside(
            tables.decimal("standardised_effect", "standardised effect"),
            Column("with unscored as worst or best", _bounds, is_number=True),
            *SCOPE,
        ),
        *tables.aside(
            tables.decimal("mean_of", "mean, first"),
            tables.decimal("mean_against", "mean, second"),
            tables.decimal("mean_characters_of", "characters, first", 0),
            tables.decimal("mean_characters_against", "characters, second", 0),
        ),
    )
    main = study.compared(rows)
    rest = [row for row in study.in_order(rows) if row not in main and study.role_of(row) != "measure"]
    found = {row["measure"] for row in rest if row["is_significant"]}
    main, rest = _as_faults(main), _as_faults(rest)
    view, tested = "contrast_by_language_and_size", corrected(main)
    figures = by_measure(
        study,
        view,
        _by_weight([*main, *(row for row in rest if row["measure"] in found)]),
        columns,
        drawn=lambda of: contrast_grids(of, study.order, study.words),
        legend=DRAWN,
        direction=lambda study, row: FAULTS if row["fault"] else good_end(study, row),
    )
    return Section(
        "contrasts",
        "Contrasts",
        (
            *((SIGNIFICANT,) if tested else ()),
            "Paired by item: only items scored on both sides count."
            + ("" if main and all(row["stopped_by"] for row in main) else _TEST),
            *tested,
            *_stopped(study, main),
            *_also_differ(study, main),
            *_elsewhere(rest, found),
        ),
        (
            *(replace(one, is_main=number < MOST_SEEN) for number, one in enumerate(figures)),
            *corrected_by_people(study, main),
        ),
    )


def _by_weight(rows: Rows) -> list[Row]:
    """Rows of measures with a significant difference first, what was declared before the rest."""
    weights: dict[tuple[str, str], int] = {}
    for row in rows:
        weight = 2 * (row["family"] == "confirmatory") + bool(row["is_significant"])
        measure = (row["dataset"], row["measure"])
        weights[measure] = max(weight, weights.get(measure, 0))
    return sorted(rows, key=lambda row: -weights[row["dataset"], row["measure"]])


def _elsewhere(rest: Rows, found: Collection[str]) -> tuple[str, ...]:
    """Count the detectors on which no contrast is significant, which are not shown."""
    quiet = [
        f"`{measure}`" for measure in dict.fromkeys(row["measure"] for row in rest) if measure not in found
    ]
    where = "`contrast_by_language_and_size` has them"
    return (f"No other contrast on {listed(quiet)} is significant; {where}.",) if quiet else ()


def _stopped(study: StudyRows, shown: Rows) -> tuple[str, ...]:
    """Say which contrasts have a confidence sequence in the place of an interval, and why."""
    stopped = [row for row in shown if row["stopped_by"]]
    if not stopped:
        return ()
    by, rule = stopped[0]["stopped_by"], stopped[0]["stopping_rule"]
    others = list(dict.fromkeys(difference(row) for row in stopped if row["contrast"] != by))
    marked = f" So have {listed(others)}, whose items `{by}` decided on." if others else ""
    looks = [step for step in study.steps if step["kind"] == "sequential_test" and step["is_done"]]
    followed = {step["settings"].get("before") for step in looks}
    last = [step["facts"]["is_settled"] for step in looks if step["step_id"] not in followed]
    return (
        f"Asking stops once `{by}` is settled ({rule}), as it is in {sum(last)} of"
        f" {counted(len(last), 'place')}: it has a confidence sequence and an e-value against a difference of"
        f" 0, valid at any number of items, and p = 1/e.{marked}",
        *_saved(study.views["saved_by_stopping"]),
    )


def _saved(rows: Rows) -> Iterator[str]:
    """Say what was not asked since a contrast was settled."""
    if not rows:
        return
    n_items, n_asked, n_requests = (
        sum(row[name] for row in rows) for name in ("n_items", "n_asked", "n_requests_saved")
    )
    n_tokens = sum(row["n_tokens_saved"] or 0 for row in rows)
    tokens = f" and about {n_tokens:,} tokens" if n_tokens else ""
    yield (
        f"Of {counted(n_items, 'item')} {n_asked:,} were asked of each side, which saved"
        f" {counted(n_requests, 'request')}{tokens}; `saved_by_stopping` has each place."
    )


def _also_differ(study: StudyRows, shown: Rows) -> tuple[str, ...]:
    """Say what the sides of a contrast differ in besides what they are named by: its difference may come of
    that."""
    named = {row["contrast"] for row in shown}
    also: dict[tuple[str, ...], list[str]] = {}
    for row in study.contrasts:
        if row["contrast"] in named and row["differs"]:
            also.setdefault(tuple(row["differs"]), []).append(difference(row))
    said = [f"{listed(sides)} in {listed(differs)}" for differs, sides in also.items()]
    return (f"Sides also differ otherwise: {'; '.join(said)}.",) if said else ()


def gaps(study: StudyRows) -> Section | None:
    rows = named_by_freedom(study.compared(study.views["language_gap"]))
    if not rows:
        return None
    columns = (
        CONTRAST,
        Column("gap between", lambda row: f"{row['language']} − {row['other_language']}"),
        *model(study),
        *tables.aside(
            tables.text("of_train_languages", "first tuned on"),
            tables.text("against_train_languages", "second tuned on"),
            tables.text("other_of_train_languages", "first tuned on, other language"),
            tables.text("other_against_train_languages", "second tuned on, other language"),
        ),
        tables.estimate("estimate", "gap [95% interval]"),
        *P_VALUES,
        *tables.aside(Column("reading", reading)),
        tables.count("n", "n"),
        Column("items", lambda row: "paired" if row["is_paired"] else "of each language"),
        *tables.aside(*SCOPE),
    )
    said = (
        "Does a method gain more in one language than in another? A judge's strictness in a language cancels"
        " out."
    )
    return Section(
        "gaps",
        "Gaps between languages",
        (said, *corrected(rows, "gap")),
        by_measure(study, "language_gap", rows, columns),
    )


def reading(row: Row) -> str:
    """Return the reading of a difference in a word."""
    if row["estimate"] is None or row["ci_low"] is None:
        return "no interval"
    if row["estimate"] == 0:
        return "tie"
    if row["is_significant"]:
        return "significant"
    return "not after correction" if row["is_significant_uncorrected"] else "not significant"


def named_by_freedom(rows: Rows) -> list[Row]:
    """The rows, of a judge that looks for a fault named by freedom from it: the higher, the better."""
    return [{**row, "named": f"Freedom from `{row['measure']}`"} if row["fault"] else row for row in rows]


def _as_faults(rows: Rows) -> list[Row]:
    """The rows, of a judge that looks for a fault with differences of the share of answers that have it."""
    return [_as_fault(row) if row["fault"] else row for row in rows]


def _as_fault(row: Row) -> Row:
    negative = {
        name: -row[other]
        for name, other in (
            ("standardised_effect", "standardised_effect"),
            ("bound_low", "bound_high"),
            ("bound_high", "bound_low"),
        )
        if row.get(other) is not None
    }
    shares = {name: 1 - row[name] for name in ("mean_of", "mean_against") if row.get(name) is not None}
    return {
        **row,
        **negative,
        **shares,
        "named": f"`{row['measure']}`: {row['fault']}",
        "estimate": row["fault_difference"],
        "ci_low": row["fault_difference_low"],
        "ci_high": row["fault_difference_high"],
    }


def _bounds(row: Row) -> str:
    """Bounds of the difference whatever the unscored verdicts; a dash without any or without a scale."""
    if not row["n_unscored"] or row["bound_low"] is None:
        return "–"
    return with_interval(row["estimate"], row["bound_low"], row["bound_high"]).partition(" ")[2]


def corrected(rows: Rows, noun: str = "difference") -> tuple[str, ...]:
    """Say what was tested and what of it is significant, family by family."""
    said: list[str] = []
    for family in ("confirmatory", "exploratory"):
        tested = [row for row in rows if row["family"] == family and row["p_corrected"] is not None]
        if not tested:
            continue
        n, alone = (
            sum(bool(row["is_significant"]) for row in tested),
            sum(bool(row["is_significant_uncorrected"]) for row in tested),
        )
        ties = sum(row["estimate"] == 0 for row in tested)
        tied = f"; {ties} {'is an exact tie' if ties == 1 else 'are exact ties'}" if ties else ""
        said.append(
            f"{family.capitalize()}: {n} of {counted(len(tested), noun)} significant after"
            f" {CORRECTIONS[tested[0]['correction']]} over {counted(tested[0]['n_tests'], 'test')} ({alone}"
            f" uncorrected){tied}."
        )
    return tuple(said)
