"""The picture of the first screen: a study's first measure by method and language, beside critical errors."""

from collections import Counter
from dataclasses import dataclass

from warehouse.charts.theme import Row, Rows
from warehouse.report.grids import Grid, Heat, answers_link, mean_grids, where
from warehouse.report.study import StudyRows
from warehouse.report.wording import percent

_STRICT = {"≥<1%": ">0%", "≥>99%": ">99%", "≤<1%": "<1%", "≤>99%": "<100%"}
"""Bounds of shares that are not written in whole per cent."""

MOST_BESIDE = 3
"""Columns of a picture that stands beside the answer; a wider one stands below it."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Grids with what a reader must know to read them."""

    measure: str
    label: str
    on: str
    """The end of a phrase that names the data set, where there are several."""
    direction: str
    grids: tuple[Grid, ...]
    baseline: str | None
    """The method whose significant differences are marked."""
    has_marks: bool
    """True where the share of one of the critical errors differs significantly from the baseline's."""
    n: int | None
    """Number of items behind each mean; None where it is not the same everywhere."""
    n_judged: int | None
    """Number of answers behind each share of critical errors; None where it is not the same everywhere."""
    is_partly_judged: bool
    """True where some answers were not judged by every detector of critical errors."""

    @property
    def is_narrow(self) -> bool:
        """True where it has room beside the answer on a desktop."""
        return max(len(grid.columns) for grid in self.grids) <= MOST_BESIDE


def overview(study: StudyRows) -> Overview | None:
    """Return the picture, None for a study of which nothing has been scored."""
    shown = study.first_measure(study.views["score_by_method_language"])
    if not shown:
        return None
    first = shown[0]
    baseline = _baseline(study)
    tested = [
        row for row in study.views["contrast_by_language_and_size"] if row["dataset"] == first["dataset"]
    ]
    significant = _significant([row for row in tested if row["measure"] == first["measure"]], baseline)
    marked = _significant([row for row in tested if study.words.is_critical(row)], baseline)
    judged = [
        row for row in study.views["score_beside_critical_errors"] if row["dataset"] == first["dataset"]
    ]
    # of all the answers that were judged for errors: a measure may have been scored on a part of them
    widest = {where(row): row for row in sorted(judged, key=lambda row: row["n_judged"] + row["n_unjudged"])}
    heats = {place: _heat(row, place in marked) for place, row in widest.items()}
    n_judged = {row["n_judged"] for row in widest.values() if row["p_critical"] is not None}
    counts = {(row["n"], row.get("stopped_by")) for row in shown if row["mean_score"] is not None}
    return Overview(
        first["measure"],
        study.words.label(first),
        study.words.on(first),
        study.words.direction(first),
        mean_grids(study.order.sort(shown), study.order, study.words, significant, heats),
        baseline,
        any(heat.is_marked for heat in heats.values()),
        first["n"] if counts == {(first["n"], None)} else None,
        n_judged.pop() if len(n_judged) == 1 else None,
        any(row["n_partly_judged"] or row["n_unjudged"] for row in widest.values()),
    )


def _heat(row: Row, is_marked: bool) -> Heat:
    """The share of answers with a critical error. Where some were not judged by every detector it is at least
    that of those in which one was found and, where none was found, at most that of those."""
    link = answers_link({**row, "measure": None})
    share, n, partly, unknown = (
        row[name] for name in ("p_critical", "n_judged", "n_partly_judged", "n_unjudged")
    )
    if share is None:
        return Heat(None, "–", f"with a critical error: {unknown} not judged", link)
    shown, of = percent(share), f" of {n}"
    if partly:
        shown = f"≥{percent(share)}" if share else f"≤{percent(partly / n)}"
        shown = _STRICT.get(shown, shown)
    told = [
        f"with a critical error: {shown}{of}",
        *([f"{partly} of these not judged by every detector"] if partly else []),
        *([f"{unknown} more by none"] if unknown and partly else []),
        *([f"{unknown} not judged"] if unknown and not partly else []),
    ]
    return Heat(share, shown, ", ".join(told), link, is_marked, of)


def _baseline(study: StudyRows) -> str | None:
    """The method that stands in most contrasts; None where no contrast is between methods."""
    sides = Counter(
        side for row in study.contrasts if row["method"] is None for side in (row["against"], row["of"])
    )
    return sides.most_common(1)[0][0] if sides else None


def _significant(contrasts: Rows, baseline: str | None) -> dict[tuple[str, ...], bool]:
    """(language, model, method, training languages) of what differs significantly from the baseline."""
    found: dict[tuple[str, ...], bool] = {}
    for row in contrasts:
        for side, other in (("of", "against"), ("against", "of")):
            if row["is_significant"] and row["method"] is None and row[other] == baseline:
                tuned = row[f"{side}_train_languages"] or ""
                found[row["language"], row["model"], row[side], tuned] = True
    return found
