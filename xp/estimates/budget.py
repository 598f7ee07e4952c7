"""Budget of a study beside what is spent of it and what a plan is estimated to take."""

from collections.abc import Mapping
from typing import Literal

from dsl.spec.budget import Budget, Use
from dsl.values import Value
from xp.estimates.estimating import Estimate

LimitName = Literal["usd", "tokens", "device_hours"]


class Limit(Value):
    """One limit of a budget, in its unit."""

    limit: float
    spent: float
    """Spending of all applies so far; requests under way count with the most that they may cost."""
    left: float
    estimated: float
    """Estimate of the steps to run."""
    fits: bool | None
    """The estimate is not above what is left; null where it leaves steps out, and those it has would fit."""


def limits_of(budget: Budget, spent: Use, total: Estimate) -> Mapping[LimitName, Limit]:
    """Return the limits that a budget names, each with what is spent and estimated."""
    found: dict[LimitName, Limit] = {}
    hours = spent.device_seconds / 3600, total.device_seconds / 3600
    n_left_out = total.n_uncounted
    amounts: tuple[tuple[LimitName, float | None, float, float, int], ...] = (
        ("usd", budget.usd, spent.usd, total.usd, n_left_out + total.n_unpriced),
        ("tokens", budget.tokens, spent.tokens, total.n_served_tokens, n_left_out),
        ("device_hours", budget.device_hours, *hours, n_left_out),
    )
    for name, limit, was, estimated, n_unknown in amounts:
        if limit is not None:
            left = max(0.0, limit - was)
            fits = False if estimated > left else None if n_unknown else True
            found[name] = Limit(limit=limit, spent=was, left=left, estimated=estimated, fits=fits)
    return found
