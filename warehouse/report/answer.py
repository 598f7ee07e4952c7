"""The answer of a study in a few sentences, made from its numbers and never going beyond them.

A difference is *told apart* when the 95% interval of the paired contrast excludes zero. What is not told apart is said to be so; equal means
are said to be a tie; what could not be scored is counted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from warehouse.charts.theme import Order, Row, Rows, decimals_for, label, number

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
        decimals = decimals_for((self.mean_score, self.ci_low, self.ci_high))
        interval = "" if self.ci_low is None or len(self.methods) > 1 else f" [{number(self.ci_low, decimals)}, {number(self.ci_high, decimals)}]"
        return number(self.mean_score, decimals) + interval


def differences(contrasts: Rows, order: Order) -> str:
    """Which contrasts are told apart, largest against its error first, in a sentence or two."""
    tested = [row for row in contrasts if row["ci_low"] is not None]
    if not contrasts:
        return "The study names no contrast, so no difference is tested here; the means below stand beside their intervals."
    if not tested:
        return f"No difference can be tested: none of the {_count(len(contrasts), 'comparison')} has two items that both sides answered and that were scored."
    apart = sorted((row for row in tested if _excludes_zero(row)), key=_clearness, reverse=True)
    untested = f" {_count(len(contrasts) - len(tested), 'comparison')} had too few items for an interval." if len(tested) < len(contrasts) else ""
    if not apart:
        ties = sum(row["estimate"] == 0 for row in tested)
        equal = f" ({ties} {'is an exact tie' if ties == 1 else 'are exact ties'})" if ties else ""
        if len(tested) == 1:
            return f"Nothing is told apart: {_pair(tested[0])} can't be told from zero, {_estimate(tested[0])}{_where(tested[0], order)}{equal}.{untested}"
        return f"Nothing is told apart: in all {len(tested)} paired comparisons the 95% interval contains zero{equal}.{untested}"
    named = "; ".join(_beats(row, order) for row in apart[:NAMED])
    more = f"; {len(apart) - NAMED} more {'is' if len(apart) - NAMED == 1 else 'are'} told apart below" if len(apart) > NAMED else ""
    rest = len(tested) - len(apart)
    elsewhere = f" In the other {_count(rest, 'paired comparison')} the difference can't be told from zero." if rest else ""
    return named + more + "." + elsewhere + untested


def best_methods(scores: Rows, order: Order) -> list[Best]:
    """The highest mean for every data set, measure and language, ties together; nothing where nothing was scored."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in scores:
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
    said: list[str] = []
    tested = [row for row in contrasts if row["ci_low"] is not None]
    fewest = min((row["n"] for row in tested or scores if row["n"]), default=0)
    if tested and fewest < FEW_ITEMS:
        half = median((row["ci_high"] - row["ci_low"]) / 2 for row in tested)
        said.append(
            f"Small samples: comparisons rest on {_range(row['n'] for row in tested)} items. Their intervals reach ±{number(half)} in the median, so true differences of that size can go unseen."
        )
    elif scores and fewest < FEW_ITEMS:
        said.append(f"Small samples: means rest on {_range(row['n'] for row in scores if row['n'])} items.")
    if len(tested) > 1:
        by_chance = len(tested) / 20
        said.append(
            f"{len(tested)} intervals at 95% were looked at, uncorrected: if no method differed from any other, about {number(by_chance, 0 if by_chance >= 2 else 1)} would exclude zero by chance."
        )
    n = sum(row["n"] for row in unscored)
    missing = sum(row["n_unscored"] for row in unscored)
    if missing:
        worst = max(unscored, key=lambda row: row["n_unscored"])
        reason = f" (most often, by `{worst['measure']}`: “{' '.join(str(worst['most_common_reason']).split())[:120]}”)" if worst["most_common_reason"] else ""
        said.append(f"{number(100 * missing / n, 1)}% of {n} verdicts are unscored{reason}. They are left out of every mean and are not zeros.")
    return said


def _beats(row: Row, order: Order) -> str:
    winner, loser = (row["of"], row["against"]) if row["estimate"] > 0 else (row["against"], row["of"])
    flipped = {**row, "estimate": abs(row["estimate"])}
    if row["estimate"] < 0:
        flipped |= {"ci_low": -row["ci_high"], "ci_high": -row["ci_low"]}
    return f"{winner} beats {loser} by {_estimate(flipped)}{_where(row, order)}"


def _pair(row: Row) -> str:
    return f"{row['of']} minus {row['against']}"


def _estimate(row: Row) -> str:
    decimals = decimals_for((row["estimate"], row["ci_low"], row["ci_high"]))
    return f"{number(row['estimate'], decimals)} [{number(row['ci_low'], decimals)}, {number(row['ci_high'], decimals)}]"


def _where(row: Row, order: Order) -> str:
    tuned = [t for t in (row["of_train_languages"], row["against_train_languages"]) if t and t != row["language"]]
    trained = f", tuned on {' and '.join(dict.fromkeys(tuned))}" if tuned else ""
    model = f" with {row['model']}" if len(order.models) > 1 else ""
    return f" on `{row['measure']}` in {row['language']}{trained}{model} (n = {_count(row['n'], 'item')})"


def _excludes_zero(row: Row) -> bool:
    return row["ci_low"] > 0 or row["ci_high"] < 0


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
