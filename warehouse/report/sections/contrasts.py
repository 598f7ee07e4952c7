"""Contrasts of the study, and their gaps between languages."""

from warehouse.charts.theme import Row, Rows, difference, with_interval
from warehouse.report import tables
from warehouse.report.figures import SCOPE, Section, by_measure, model
from warehouse.report.prose import CORRECTIONS, counted, listed, training_scope
from warehouse.report.sections.people import corrected_by_people
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column

CONTRAST = Column("contrast", difference)

FAULTS = (
    "Of a fault, the difference is of the shares of answers that have it: below zero is better for the first"
    " method."
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
        tables.text("of_train_languages", "first tuned on"),
        tables.text("against_train_languages", "second tuned on"),
        tables.estimate("estimate", "difference [95% interval]"),
        *P_VALUES,
        Column("reading", reading),
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
    main, rest = _as_faults(main), _as_faults(rest)
    view = "contrast_by_language_and_size"
    return Section(
        "contrasts",
        "Contrasts",
        (
            (
                "Differences are paired by item within a language: only items scored on both sides count."
                " Sign-flip permutation test, and the 95% interval that inverts it."
            ),
            *corrected(main),
            *training_scope(main),
            *([FAULTS] if any(row["fault"] for row in (*main, *rest)) else []),
            *_also_differ(study, main),
        ),
        (*by_measure(study, view, main, columns), *corrected_by_people(study, main)),
        more=by_measure(study, view, rest, columns, anchor="contrast-errors"),
        more_heading="Contrasts on critical errors",
    )


def _also_differ(study: StudyRows, shown: Rows) -> tuple[str, ...]:
    """Say what the sides of a contrast differ in besides what they are named by: its difference may come of
    that."""
    named = {row["contrast"] for row in shown}
    also: dict[tuple[str, ...], list[str]] = {}
    for row in study.contrasts:
        if row["contrast"] in named and row["differs"]:
            besides = "methods" if row["method"] is None else "models"
            also.setdefault((besides, *row["differs"]), []).append(difference(row))
    return tuple(
        f"Besides the {besides}, the two sides of {listed(sides)} differ in {listed(differs)}."
        for (besides, *differs), sides in also.items()
    )


def gaps(study: StudyRows) -> Section | None:
    rows = _as_faults(study.of_interest(study.views["language_gap"]))
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
        Column("reading", reading),
        tables.count("n", "n"),
        Column("items", lambda row: "paired" if row["is_paired"] else "of each language"),
        *tables.aside(*SCOPE),
    )
    said = (
        "Does a method gain more in one language than in another? Means of two languages can't be compared"
        " where a judge is stricter in one of them; the gain of one method over another within each language"
        " can."
    )
    return Section(
        "gaps",
        "Gaps between languages",
        (said, *corrected(rows, "gap"), *training_scope(rows)),
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
