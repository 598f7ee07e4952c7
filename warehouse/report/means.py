"""Means of a study in a few sentences: the highest by language, and the smallest model beside the largest.

These say what was measured; a highest mean is no significant difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from warehouse.charts.theme import Order, Row, Rows, label, place, with_interval
from warehouse.report.prose import listed
from warehouse.report.wording import language_name


@dataclass(frozen=True, slots=True)
class Best:
    """Methods with the highest mean on one measure in one language."""

    dataset: str
    language: str
    measure: str
    methods: tuple[str, ...]
    """More than one is a tie; none where methods were scored on different items, whose means are not
    compared."""
    mean_score: float
    ci_low: float | None
    ci_high: float | None
    n: int
    """The fewest scores among tied methods."""
    n_unscored: int
    is_error: bool = False
    """True for freedom from an error."""

    @property
    def shown(self) -> str:
        """The mean; with its interval where one method has it alone."""
        one = len(self.methods) == 1
        return with_interval(self.mean_score, self.ci_low if one else None, self.ci_high)


def best_methods(scores: Rows, order: Order) -> list[Best]:
    """Return the highest mean for every data set, measure and language, ties together.

    A method that was scored on other items may be the highest for these alone, be they as many: then none is
    named.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(scores, key=lambda row: place(order.languages, row["language"])):
        if row["mean_score"] is not None:
            groups.setdefault((row["dataset"], row["measure"], row["language"]), []).append(row)
    found: list[Best] = []
    for (dataset, measure, language), rows in groups.items():
        top = max(row["mean_score"] for row in rows)
        winners = order.sort(row for row in rows if abs(row["mean_score"] - top) < 1e-9)
        names = tuple(label(row, order) for row in winners) if _are_of_the_same_items(rows) else ()
        shown = winners if names else rows
        n, n_unscored = min(row["n"] for row in shown), max(row["n_unscored"] for row in shown)
        found.append(
            Best(
                dataset,
                language,
                measure,
                names,
                top,
                winners[0]["ci_low"],
                winners[0]["ci_high"],
                n,
                n_unscored,
                bool(rows[0].get("fault")),
            )
        )
    return found


def _are_of_the_same_items(rows: Rows) -> bool:
    return len({row["item_set_id"] for row in rows}) == 1


def leaders(best: Sequence[Best], n_methods: int) -> str:
    """Name the methods with the highest mean on the first measure, by language."""
    if not best:
        return "Nothing has been scored."
    first = [b for b in best if (b.dataset, b.measure) == (best[0].dataset, best[0].measure)]
    on = f" of {best[0].dataset}" if len({b.dataset for b in best}) > 1 else ""
    named = [
        f"{_who(b, n_methods)} in {language_name(b.language)} ({b.shown}, n = {b.n})"
        for b in first
        if b.methods
    ]
    uneven = [language_name(b.language) for b in first if not b.methods]
    left = (
        f"Methods were scored on unequal sets of items in {listed(uneven)}, so no highest mean is named"
        " there."
        if uneven
        else ""
    )
    if not named:
        return left
    what = f"freedom from `{best[0].measure}`" if best[0].is_error else f"`{best[0].measure}`"
    if n_methods == 1:
        return f"There is one method, so there is nothing to compare. On {what}{on}: {listed(named)}."
    return f"Highest mean on {what}{on}: {listed(named)}." + (f" {left}" if left else "")


def by_size(scores: Rows, order: Order) -> list[str]:
    """Compare means of the smallest and the largest model, for a study of one method on several models.

    All exploratory.

    Means are unpaired here: a change is clear only where the 95% intervals do not overlap, which asks for
    more than a test would. Means of different items are not compared.
    """
    scored = [row for row in scores if row["mean_score"] is not None and row["num_parameters"] is not None]
    if len({row["method"] for row in scores}) != 1 or len({row["num_parameters"] for row in scored}) < 2:
        return []
    ends = _smallest(scored), _largest(scored)
    by_model = {(row["dataset"], row["measure"], row["language"], row["model"]): row for row in scored}
    several = len({row["dataset"] for row in scored}) > 1
    said: list[str] = []
    for dataset, measure in dict.fromkeys((row["dataset"], row["measure"]) for row in scored):
        apart: list[str] = []
        level: list[str] = []
        uneven: list[str] = []
        for language in order.languages:
            small, large = (by_model.get((dataset, measure, language, model)) for model in ends)
            if small is None or large is None:
                continue
            if not _are_of_the_same_items((small, large)):
                uneven.append(language_name(language))
                continue
            named = " to ".join(
                f"{with_interval(r['mean_score'], r['ci_low'], r['ci_high'])} (n = {r['n']})"
                for r in (small, large)
            )
            (apart if _do_not_overlap(small, large) else level).append(
                f"{named} in {language_name(language)}"
                if _do_not_overlap(small, large)
                else language_name(language)
            )
        names = f"from {ends[0]} to {ends[1]}"
        what = f"`{measure}`" + (f" on {dataset}" if several else "")
        if apart:
            said.append(
                f"Exploratory: {what} goes {names} from {listed(apart)}"
                + (f"; no clear change in {listed(level)}." if level else ".")
            )
        elif level:
            said.append(f"Exploratory: {what} does not change clearly {names}.")
        if uneven:
            said.append(
                f"{what} was scored on unequal sets of items in {listed(uneven)}, so these means are not"
                " compared."
            )
    return sorted(said, key=lambda sentence: "does not change" in sentence)


def _do_not_overlap(a: Row, b: Row) -> bool:
    return None not in (a["ci_low"], b["ci_low"]) and (
        a["ci_high"] < b["ci_low"] or b["ci_high"] < a["ci_low"]
    )


def _smallest(scored: Rows) -> str:
    return str(min(scored, key=lambda row: row["num_parameters"])["model"])


def _largest(scored: Rows) -> str:
    return str(max(scored, key=lambda row: row["num_parameters"])["model"])


def _who(best: Best, n_methods: int) -> str:
    if len(best.methods) == n_methods > 1:
        return "the same for all methods"
    return best.methods[0] if len(best.methods) == 1 else f"a tie of {listed(best.methods)}"
