"""The answer of a study in a few sentences, made from its numbers and never going beyond them.

A difference is *significant* when its test says so after correction over its family. What is not significant
is said to be so, and so is what could not have been; equal means are said to be a tie; what could not be
scored is counted.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from warehouse.charts.theme import Order, Row, Rows, label, place, with_interval
from warehouse.report.prose import CORRECTIONS, counted, listed, p_value, value_range

NAMED = 3
"""Differences spelled out in the answer; the rest is counted and stands in the forest plot."""


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

    @property
    def shown(self) -> str:
        """The mean; with its interval where one method has it alone."""
        one = len(self.methods) == 1
        return with_interval(self.mean_score, self.ci_low if one else None, self.ci_high)


def differences(contrasts: Rows, order: Order, opinions: Collection[str] = ()) -> list[str]:
    """Say which contrasts are significant, a sentence each; then how many more are and how many are not.

    Confirmatory ones come first, in the order in which the study declares them, checks before opinions:
    `opinions` names the judges that have them. Of exploratory ones the clearest come first.
    """
    if not contrasts:
        return [
            "The study names no contrast, so no difference is tested here: add `baseline:` or `contrasts:` to"
            " its spec. The means below stand beside their intervals."
        ]
    tested = [row for row in contrasts if row["ci_low"] is not None]
    if not tested:
        asked = counted(len(contrasts), "comparison")
        return [
            f"No difference can be tested: of {asked}, none has two items that were answered and scored on"
            " both sides."
        ]
    families = [
        [row for row in tested if row["family"] == family] for family in ("confirmatory", "exploratory")
    ]
    parts = [
        [row for row in family if (row["judge"] in opinions) == wanted]
        for family in families
        for wanted in (False, True)
    ]
    said = [sentence for part in parts if part for sentence in _significant(part, order)]
    untested = len(contrasts) - len(tested)
    return (
        [*said, f"{counted(untested, 'comparison')} had too few items for an interval."] if untested else said
    )


def interactions(gaps: Rows, trends: Rows, order: Order) -> list[str]:
    """Say which declared interactions with language or size are significant; then how many are not."""
    rows = [row for row in (*gaps, *trends) if row["family"] == "confirmatory"]
    tested = [row for row in rows if row["p_corrected"] is not None]
    said: list[str] = []
    for row in tested:
        if not row["is_significant"]:
            continue
        is_trend = "slope" in row
        value = with_interval(row["slope" if is_trend else "estimate"], row["ci_low"], row["ci_high"])
        languages = f" in {row['language']}" + (
            f" minus {row['other_language']}" if row.get("other_language") else ""
        )
        ending = " for ten times the parameters" if is_trend else _model(row, order)
        said.append(
            f"{row['of']} minus {row['against']} on `{row['measure']}`{languages} changes by {value}{ending}"
            f" ({_p([row])})."
        )
    rest = len(tested) - len(said)
    if rest:
        said.append(
            f"No significant interaction in {'the other ' if said else ''}{rest} of"
            f" {counted(len(tested), 'declared interaction')}."
        )
    untested = {
        row.get("no_slope_reason") or "too few items": None for row in rows if row["p_corrected"] is None
    }
    return [*said, *(f"A declared interaction can't be tested: {reason}." for reason in untested)]


def _significant(tested: Rows, order: Order) -> list[str]:
    """The sentences of one family."""
    is_explored = tested[0]["family"] == "exploratory"
    found = [row for row in tested if row["is_significant"]]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(found, key=_clearness, reverse=True) if is_explored else found:
        groups.setdefault((*_sides(row), row["dataset"], row["measure"], row["model"]), []).append(row)
    mark = "Exploratory: " if is_explored else ""
    if not groups:
        said = _nothing(tested, order)
        return [mark + (said[0].lower() + said[1:] if mark else said)]
    # Each pair of methods is named once before any is named twice.
    pairs = list(dict.fromkeys(key[:2] for key in groups))
    ranked = sorted(
        groups, key=lambda key: ([k for k in groups if k[:2] == key[:2]].index(key), pairs.index(key[:2]))
    )
    more = len(found) - sum(len(groups[key]) for key in ranked[:NAMED])
    rest = len(tested) - len(found)
    closing = (
        [f"{mark}{counted(more, 'more paired comparison')} {'is' if more == 1 else 'are'} significant below."]
        if more
        else []
    )
    if rest:
        others = [row for row in tested if not row["is_significant"]]
        closing.append(
            f"{mark}no significant difference in the other {rest} of {len(tested)} comparisons on"
            f" {_judges(tested)}{_corrected(others)}."
        )
    closing = [sentence[0].upper() + sentence[1:] for sentence in closing]
    return [
        *(mark + _beats(groups[key], order) for key in ranked[:NAMED]),
        *([" ".join(closing)] if closing else []),
    ]


def _nothing(tested: Rows, order: Order) -> str:
    ties = sum(row["estimate"] == 0 for row in tested)
    equal = f" ({ties} {'is an exact tie' if ties == 1 else 'are exact ties'})" if ties else ""
    if not any(row["could_be_significant"] for row in tested):
        n = value_range(row["n"] for row in tested)
        return (
            f"With {n} items and {counted(tested[0]['n_tests'], 'test')} no difference on {_judges(tested)}"
            f" could have been significant after {CORRECTIONS[tested[0]['correction']]}, whatever the"
            " answers."
        )
    if len(tested) > 1:
        return (
            f"No significant difference on {_judges(tested)} (0 of {len(tested)}"
            f" comparisons){_corrected(tested)}{equal}."
        )
    row = tested[0]
    about = f"on `{row['measure']}`{_where(row)}{_model(row, order)} (n = {counted(row['n'], 'item')})"
    return (
        f"No significant difference: {row['of']} minus {row['against']} {about} is"
        f" {_estimate(row)}{_corrected(tested)}{equal}."
    )


def _corrected(rows: Sequence[Row]) -> str:
    """Say where it is the correction that keeps differences from being significant."""
    n = sum(bool(row["is_significant_uncorrected"]) for row in rows)
    hopeless = [row for row in rows if not row["could_be_significant"]]
    few = value_range(row["n"] for row in hopeless) if hopeless else ""
    return (f"; {n} {'is' if n == 1 else 'are'} significant uncorrected" if n else "") + (
        f"; {len(hopeless)} could not have been, with {few} items and"
        f" {counted(hopeless[0]['n_tests'], 'test')}"
        if hopeless
        else ""
    )


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
    named = [f"{_who(b)} in {b.language} ({b.shown}, n = {b.n})" for b in first if b.methods]
    uneven = [b.language for b in first if not b.methods]
    left = (
        f"Methods were scored on unequal sets of items in {listed(uneven)}, so no highest mean is named"
        " there."
        if uneven
        else ""
    )
    if not named:
        return left
    if n_methods == 1:
        return (
            f"There is one method, so there is nothing to compare. On `{best[0].measure}`: {listed(named)}."
        )
    return f"Highest mean on `{best[0].measure}`: {listed(named)}." + (f" {left}" if left else "")


def by_size(scores: Rows, order: Order) -> list[str]:
    """Compare means of the smallest and the largest model, for a study of one method on several models.

    All exploratory.

    Means are unpaired here: a change is clear only where the 95% intervals do not overlap, which asks for
    more than a test would. Means of different items are not compared.
    """
    scored = [row for row in scores if row["mean_score"] is not None and row["num_parameters"] is not None]
    if len({row["method"] for row in scores}) != 1 or len({row["num_parameters"] for row in scored}) < 2:
        return []
    sizes = {row["num_parameters"] for row in scored}
    ends = {(row["dataset"], row["measure"], row["language"], row["num_parameters"]): row for row in scored}
    said: list[str] = []
    for dataset, measure in dict.fromkeys((row["dataset"], row["measure"]) for row in scored):
        apart: list[str] = []
        level: list[str] = []
        uneven: list[str] = []
        for language in order.languages:
            small, large = (ends.get((dataset, measure, language, size)) for size in (min(sizes), max(sizes)))
            if small is None or large is None:
                continue
            if not _are_of_the_same_items((small, large)):
                uneven.append(language)
                continue
            named = " to ".join(
                f"{with_interval(r['mean_score'], r['ci_low'], r['ci_high'])} (n = {r['n']})"
                for r in (small, large)
            )
            (apart if _do_not_overlap(small, large) else level).append(
                f"{named} in {language}" if _do_not_overlap(small, large) else language
            )
        names = f"from {_smallest(scored)} to {_largest(scored)}"
        if apart:
            said.append(
                f"Exploratory: `{measure}` goes {names} from {listed(apart)}"
                + (f"; no clear change in {listed(level)}." if level else ".")
            )
        elif level:
            said.append(f"Exploratory: `{measure}` does not change clearly {names}.")
        if uneven:
            said.append(
                f"`{measure}` was scored on unequal sets of items in {listed(uneven)}, so these means are not"
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


def _beats(rows: Sequence[Row], order: Order) -> str:
    """One sentence for all languages in which one method beats another on a measure."""
    winner, loser = _sides(rows[0])
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    places = listed([f"{_estimate(row)}{_where(row)}" for row in ranked])
    items = f"n = {value_range(row['n'] for row in rows)} item{'s' * (rows[0]['n'] != 1)}"
    return (
        f"{winner} beats {loser} on `{rows[0]['measure']}`{_model(rows[0], order)} by {places} ({items};"
        f" {_p(rows)})."
    )


def _p(rows: Sequence[Row]) -> str:
    """The largest of the corrected p-values."""
    highest = p_value(max(row["p_corrected"] for row in rows))
    return f"corrected p {highest if highest.startswith('<') else f'{_relation(rows)} {highest}'}"


def _relation(rows: Sequence[Row]) -> str:
    return "=" if len(rows) == 1 else "≤"


def _sides(row: Row) -> tuple[str, str]:
    """(the better method, the other one)."""
    return (row["of"], row["against"]) if row["estimate"] > 0 else (row["against"], row["of"])


def _estimate(row: Row) -> str:
    """The difference with its interval, seen from the better side."""
    value, low, high = row["estimate"], row["ci_low"], row["ci_high"]
    if row["is_significant"] and value < 0:
        value, low, high = -value, -high, -low
    return with_interval(value, low, high)


def _where(row: Row) -> str:
    tuned = [
        t for t in (row["of_train_languages"], row["against_train_languages"]) if t and t != row["language"]
    ]
    return f" in {row['language']}" + (f" (tuned on {listed(list(dict.fromkeys(tuned)))})" if tuned else "")


def _judges(rows: Rows) -> str:
    return listed([f"`{judge}`" for judge in dict.fromkeys(row["judge"] for row in rows)])


def _model(row: Row, order: Order) -> str:
    if row.get("method"):  # between models: the sides name them
        return f" with {row['method']}" if len(order.methods) > 1 else ""
    return f" with {row['model']}" if len(order.models) > 1 else ""


def _clearness(row: Row) -> float:
    """Return the distance of the estimate from zero in half-widths of its interval."""
    half = (row["ci_high"] - row["ci_low"]) / 2
    return abs(row["estimate"]) / half if half else float("inf")


def _who(best: Best) -> str:
    return best.methods[0] if len(best.methods) == 1 else f"a tie of {listed(best.methods)}"
