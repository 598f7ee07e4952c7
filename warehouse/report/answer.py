"""The answer of a study in a few sentences, made from its numbers and never going beyond them.

A difference is *told apart* when the 95% interval of the paired contrast excludes zero. What is not told apart is said to be so; equal
means are said to be a tie; what could not be scored is counted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from dsl.words import one_line
from warehouse.charts.contrast_by_language_and_size import is_told_apart
from warehouse.charts.theme import Order, Row, Rows, label, number, place
from warehouse.report.tables import with_interval

NAMED = 3
"""Differences spelled out in the answer; the rest is counted and stands in the forest plot."""

FEW_ITEMS = 100
"""Below this many items the answer speaks of the width of its intervals."""


@dataclass(frozen=True, slots=True)
class Best:
    """Who has the highest mean on one measure in one language."""

    dataset: str
    language: str
    measure: str
    methods: tuple[str, ...]
    """More than one is a tie."""
    mean_score: float
    ci_low: float | None
    ci_high: float | None
    n: int
    n_unscored: int

    @property
    def shown(self) -> str:
        """The mean; with its interval where one method has it alone."""
        one = len(self.methods) == 1
        return with_interval(self.mean_score, self.ci_low if one else None, self.ci_high)


def differences(contrasts: Rows, order: Order) -> list[str]:
    """Which contrasts are told apart, a sentence each, the clearest first; then how many more are and how many are not."""
    if not contrasts:
        return ["The study names no contrast, so no difference is tested here; the means below stand beside their intervals."]
    tested = [row for row in contrasts if row["ci_low"] is not None]
    if not tested:
        asked = _count(len(contrasts), "comparison")
        return [f"No difference can be tested: of {asked}, none has two items that were answered and scored on both sides."]
    untested = len(contrasts) - len(tested)
    said = _told_apart(tested, order)
    return [*said, f"{_count(untested, 'comparison')} had too few items for an interval."] if untested else said


def _told_apart(tested: Rows, order: Order) -> list[str]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted((row for row in tested if is_told_apart(row)), key=_clearness, reverse=True):
        groups.setdefault((*_sides(row), row["dataset"], row["measure"], row["model"]), []).append(row)
    if not groups:
        return [_nothing(tested, order)]
    # Each pair of methods is named once before any is named twice.
    pairs = list(dict.fromkeys(key[:2] for key in groups))
    ranked = sorted(groups, key=lambda key: ([k for k in groups if k[:2] == key[:2]].index(key), pairs.index(key[:2])))
    apart = sum(map(len, groups.values()))
    more = apart - sum(len(groups[key]) for key in ranked[:NAMED])
    rest = len(tested) - apart
    closing = [f"{_count(more, 'more paired comparison')} {'is' if more == 1 else 'are'} told apart below."] if more else []
    closing += [f"In {_count(rest, 'other')} of {len(tested)} the difference can't be told from zero."] if rest else []
    return [*(_beats(groups[key], order) for key in ranked[:NAMED]), *([" ".join(closing)] if closing else [])]


def _nothing(tested: Rows, order: Order) -> str:
    ties = sum(row["estimate"] == 0 for row in tested)
    equal = f" ({ties} {'is an exact tie' if ties == 1 else 'are exact ties'})" if ties else ""
    if len(tested) > 1:
        return f"Nothing is told apart: in all {len(tested)} paired comparisons the 95% interval contains zero{equal}."
    row = tested[0]
    about = f"on `{row['measure']}`{_where(row)}{_model(row, order)} (n = {_count(row['n'], 'item')})"
    return f"Nothing is told apart: {row['of']} minus {row['against']} {about} is {_estimate(row)}, which can't be told from zero{equal}."


def best_methods(scores: Rows, order: Order) -> list[Best]:
    """The highest mean for every data set, measure and language, ties together; nothing where nothing was scored."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(scores, key=lambda row: place(order.languages, row["language"])):
        if row["mean_score"] is not None:
            groups.setdefault((row["dataset"], row["measure"], row["language"]), []).append(row)
    found: list[Best] = []
    for (dataset, measure, language), rows in groups.items():
        top = max(row["mean_score"] for row in rows)
        winners = order.sort(row for row in rows if abs(row["mean_score"] - top) < 1e-9)
        unscored = sum(row["n_unscored"] for row in winners)
        first = winners[0]
        names = tuple(label(row, order) for row in winners)
        found.append(Best(dataset, language, measure, names, top, first["ci_low"], first["ci_high"], first["n"], unscored))
    return found


def leaders(best: Sequence[Best], n_methods: int) -> str:
    """Who has the highest mean on the first measure, language by language; the others are in the table."""
    if not best:
        return "Nothing has been scored."
    first = [b for b in best if (b.dataset, b.measure) == (best[0].dataset, best[0].measure)]
    told = [f"{_who(b)} in {b.language} ({b.shown}, n = {b.n})" for b in first]
    if n_methods == 1:
        return f"There is one method, so there is nothing to compare. On `{best[0].measure}`: {_listed(told)}."
    return f"The highest mean on `{best[0].measure}` has {_listed(told)}."


def caveats(contrasts: Rows, scores: Rows, unscored: Rows) -> list[str]:
    """What a reader must know before believing the answer, from the numbers alone; the study's own notes come on top."""
    tested = [row for row in contrasts if row["ci_low"] is not None]
    return [said for said in (_small(tested, scores), _many(tested), _left_out(unscored)) if said]


def _small(tested: Rows, scores: Rows) -> str | None:
    """How few items there are, and what an interval of that width can hide."""
    counts = [row["n"] for row in tested or scores if row["n"]]
    if not counts or min(counts) >= FEW_ITEMS:
        return None
    if not tested:
        return f"Small samples: means rest on {_range(counts)} items."
    measure = tested[0]["measure"]
    half = median((row["ci_high"] - row["ci_low"]) / 2 for row in tested if row["measure"] == measure)
    return (
        f"Small samples: comparisons rest on {_range(counts)} items. On `{measure}` their intervals reach ±{number(half)} in the median: "
        "a true difference of that size can go unseen."
    )


def _many(tested: Rows) -> str | None:
    """How many intervals were looked at, and what chance alone would show in so many."""
    if len(tested) < 2:
        return None
    by_chance = len(tested) / 20
    return (
        f"{len(tested)} intervals at 95% were looked at, uncorrected: if no method differed from any other, "
        f"about {number(by_chance, 0 if by_chance >= 2 else 1)} would exclude zero by chance."
    )


def _left_out(unscored: Rows) -> str | None:
    """How much has no score, and the most common reason."""
    missing = sum(row["n_unscored"] for row in unscored)
    if not missing:
        return None
    verdicts = missing + sum(row["n"] for row in unscored)
    worst = max(unscored, key=lambda row: row["n_unscored"])
    reason = one_line(str(worst["most_common_reason"]))[:120]
    return (
        f"{number(100 * missing / verdicts, 1)}% of {verdicts:,} verdicts are unscored (most of them by `{worst['measure']}`, most often: "
        f"“{reason}”). They are left out of every mean and are not zeros."
    )


def _beats(rows: Sequence[Row], order: Order) -> str:
    """One sentence for all languages in which one method beats another on a measure."""
    winner, loser = _sides(rows[0])
    ranked = sorted(rows, key=lambda row: place(order.languages, row["language"]))
    places = _listed([f"{_estimate(row)}{_where(row)}" for row in ranked])
    items = f"n = {_range(row['n'] for row in rows)} item{'s' * (rows[0]['n'] != 1)}"
    return f"{winner} beats {loser} on `{rows[0]['measure']}`{_model(rows[0], order)} by {places} ({items})."


def _sides(row: Row) -> tuple[str, str]:
    """(the better method, the other one)."""
    return (row["of"], row["against"]) if row["estimate"] > 0 else (row["against"], row["of"])


def _estimate(row: Row) -> str:
    """The difference with its interval, seen from the better side."""
    value, low, high = row["estimate"], row["ci_low"], row["ci_high"]
    if is_told_apart(row) and value < 0:
        value, low, high = -value, -high, -low
    return with_interval(value, low, high)


def _where(row: Row) -> str:
    tuned = [t for t in (row["of_train_languages"], row["against_train_languages"]) if t and t != row["language"]]
    return f" in {row['language']}" + (f" (tuned on {_listed(list(dict.fromkeys(tuned)))})" if tuned else "")


def _model(row: Row, order: Order) -> str:
    return f" with {row['model']}" if len(order.models) > 1 else ""


def _clearness(row: Row) -> float:
    """How many half-widths of its interval the estimate is from zero."""
    half = (row["ci_high"] - row["ci_low"]) / 2
    return abs(row["estimate"]) / half if half else float("inf")


def _who(best: Best) -> str:
    return best.methods[0] if len(best.methods) == 1 else f"a tie of {_listed(best.methods)}"


def _range(counts: Iterable[int]) -> str:
    found = sorted(set(counts))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
