"""What a reader must know before believing an answer, made from the numbers."""

from collections.abc import Sequence
from statistics import median

from dsl.words import one_line
from warehouse.charts.theme import Rows, number
from warehouse.report.prose import value_range

FEW_ITEMS = 100
"""Below this many items the width of the intervals is spoken of."""


def caveats(contrasts: Rows, scores: Rows, unscored: Rows, opinions: Sequence[str] = ()) -> list[str]:
    """What a reader must know before believing the answer; the study's own notes come on top.

    `opinions` says of each judge that is a model how well it judges.
    """
    tested = [row for row in contrasts if row["ci_low"] is not None]
    return [said for said in (_small(tested, scores), _many(tested), *opinions, _left_out(unscored)) if said]


def _small(tested: Rows, scores: Rows) -> str | None:
    """How few items there are, and what an interval of that width can hide."""
    counts = [row["n"] for row in tested or scores if row["n"]]
    if not counts or min(counts) >= FEW_ITEMS:
        return None
    if not tested:
        return f"Small samples: means rest on {value_range(counts)} items."
    measure = tested[0]["measure"]
    said = f"Small samples: comparisons rest on {value_range(counts)} items."
    halves = [(row["ci_high"] - row["ci_low"]) / 2 for row in tested if row["measure"] == measure and row["ci_high"] > row["ci_low"]]
    if not halves:
        return said
    return f"{said} On `{measure}` their intervals reach ±{number(median(halves))} in the median: a true difference of that size can go unseen."


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
