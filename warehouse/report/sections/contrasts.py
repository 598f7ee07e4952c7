"""The differences that the study asks for, and what becomes of them from language to language."""

from warehouse.charts.contrast_by_language_and_size import ALPHA, is_told_alone, is_told_apart
from warehouse.charts.theme import Row, Rows, with_interval
from warehouse.report import tables
from warehouse.report.figures import Section, by_measure, model
from warehouse.report.prose import counted, value_range
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column

CONTRAST = Column("contrast", lambda row: f"{row['of']} − {row['against']}")

_P_VALUES = (tables.probability("p_value", "p"), tables.probability("p_holm", "p (Holm)"))


def contrasts(study: StudyRows) -> Section:
    rows = study.views["contrast_by_language_and_size"]
    if not rows:
        said = "Neither side of a contrast has been scored yet." if study.contrasts else "The study asks for no contrast."
        return Section("contrasts", "Contrasts", (said,))
    columns = (
        CONTRAST,
        tables.text("language", "language"),
        *model(study),
        tables.text("of_train_languages", "first tuned on"),
        tables.text("against_train_languages", "second tuned on"),
        tables.estimate("estimate", "difference [95% interval]"),
        *_P_VALUES,
        Column("reading", reading),
        tables.count("n", "n (pairs)"),
        tables.count("n_lost", "items lost"),
        tables.count("n_unscored", "unscored"),
        *tables.aside(
            tables.decimal("standardised_effect", "in standard deviations"),
            Column("with unscored as worst or best", _bounds, is_number=True),
        ),
        *tables.aside(
            tables.decimal("mean_of", "mean, first"),
            tables.decimal("mean_against", "mean, second"),
            tables.decimal("mean_characters_of", "characters, first", 0),
            tables.decimal("mean_characters_against", "characters, second", 0),
        ),
    )
    main = study.of_interest(rows)
    rest = [row for row in study.in_order(rows) if row not in main and study.role_of(row) != "measure"]
    view = "contrast_by_language_and_size"
    return Section(
        "contrasts",
        "Contrasts",
        (
            "Differences are taken item by item, within a language, where both methods have a score; an item that one side lacks is lost. The test "
            "flips the signs of items.",
            *_corrected(main),
        ),
        by_measure(study, view, main, columns),
        more=by_measure(study, view, rest, columns, anchor="contrast-errors"),
        more_heading="Contrasts on freedom from critical errors",
    )


def gaps(study: StudyRows) -> Section | None:
    rows = study.of_interest(study.views["language_gap"])
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
        *_P_VALUES,
        Column("reading", reading),
        tables.count("n", "n"),
        Column("items", lambda row: "paired" if row["is_paired"] else "of each language"),
    )
    said = (
        "Does a method gain more in one language than in another? Means of two languages can't be compared where a judge is stricter in one "
        "of them; the gain of one method over another within each language can."
    )
    return Section("gaps", "Gaps between languages", (said, *_corrected(rows, "gap")), by_measure(study, "language_gap", rows, columns))


def reading(row: Row) -> str:
    """What may be said of a difference, in a word."""
    if row["estimate"] is None or row["ci_low"] is None:
        return "no interval"
    if row["estimate"] == 0:
        return "tie"
    if is_told_apart(row):
        return "told apart"
    return "not after Holm" if is_told_alone(row) else "not told apart"


def _bounds(row: Row) -> str:
    """How far the unscored could move the difference; a dash where there are none, or the judge has no scale."""
    if not row["n_unscored"] or row["bound_low"] is None:
        return "–"
    return with_interval(row["estimate"], row["bound_low"], row["bound_high"]).partition(" ")[2]


def _corrected(rows: Rows, noun: str = "difference") -> tuple[str, ...]:
    """What was tested and what of it stands after the correction."""
    tested = [row for row in rows if row["p_holm"] is not None]
    if not tested:
        return ()
    alone, told = sum(map(is_told_alone, tested)), sum(map(is_told_apart, tested))
    ties = sum(row["estimate"] == 0 for row in tested)
    made = f"{counted(len(tested), noun)} {'was' if len(tested) == 1 else 'were'} tested."
    tied = f"; {ties} {'is an exact tie' if ties == 1 else 'are exact ties'}" if ties else ""
    return (
        f"{made} {alone} by {'its' if alone == 1 else 'their'} 95% interval alone, {told} after Holm's correction at {ALPHA} within each measure "
        f"(families of {value_range(row['n_tests'] for row in tested)}) can be told from zero{tied}.",
    )
