"""Trends over models as rows of `size_trends`, from a value for each place, model and item."""

from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np

from warehouse.statements import fetch
from warehouse.statistics.estimates import columns_of
from warehouse.statistics.pairs import CONTRAST, TUNED
from warehouse.statistics.stopped import stopped_contrasts, stopped_methods
from warehouse.statistics.trends import Crossing, crossing, size_trend

_TREND = (
    *(*CONTRAST, "language", *TUNED),
    *("other_language", *(f"other_{name}" for name in TUNED)),
)
"""Place of a trend, with nulls where it is of scores or of one language; `trends.sql` makes what it is
computed from."""

_TESTED_TREND = ("standard_error", "df", "ci_low", "ci_high", "p_value", "crossing_low", "crossing_high")
"""Columns of a trend that hold for a fixed number of items."""


def trend_rows(connection: duckdb.DuckDBPyConnection, experiment: str) -> list[dict[str, Any]]:
    """Trends over the models of each place, from a table of a value for each place, model and item."""
    counted = f"""
        select {", ".join(_TREND)}, count(distinct model) as n_models
        from size_trends_items group by all having count(distinct model) > 1 order by all
    """
    place_is = " and ".join(f"{name} is not distinct from ?" for name in _TREND)
    wanted = f"""
        select value, num_parameters, model, item, variance_of_seeds, n_seeds, n_seeds_missing
        from size_trends_items where {place_is} order by model, num_parameters, item
    """
    contrasts, methods = stopped_contrasts(connection, experiment), stopped_methods(connection, experiment)
    found: list[dict[str, Any]] = []
    for place in fetch(connection, counted):
        trend = _trend(connection.execute(wanted, [place[name] for name in _TREND]).fetchnumpy())
        stopped_by = contrasts.get(place["contrast"]) if place["contrast"] else methods.get(place["of"])
        if stopped_by:
            trend |= dict.fromkeys(_TESTED_TREND) | {"stopped_by": stopped_by}
        found.append(place | trend)
    return found


def _trend(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a trend's row, from columns with an entry for each item and model."""
    is_known = np.ma.filled(rows["num_parameters"] != 0, False)
    values, sizes = (
        np.ma.getdata(rows[name])[is_known].astype(np.float64) for name in ("value", "num_parameters")
    )
    models, items = rows["model"][is_known].tolist(), rows["item"][is_known].tolist()
    counts = {"n": len(items), "n_items": len(set(items)), "n_sizes": len(np.unique(sizes))}
    seeds = _seeds_of_models(rows)
    counts |= {
        "n_seeds": min(seeds["n_seeds"], default=None),
        "n_seeds_missing": sum(seeds["n_seeds_missing"]) if seeds["n_seeds"] else None,
    }
    variances = seeds["variance_of_seeds"]
    trend = size_trend(values, sizes, models, items, float(np.mean(variances)) if variances else 0.0)
    if isinstance(trend, str):
        return counts | {"no_slope_reason": trend, "no_crossing_reason": f"not estimable: {trend}"}
    smallest, largest = float(sizes.min()), float(sizes.max())
    where = crossing(trend, smallest, largest)
    slope = columns_of(trend.slope)
    return {
        **counts,
        "slope": slope.pop("estimate"),
        **slope,
        "df": trend.slope.df,
        "p_value": trend.slope.p_value,
        "smallest": int(smallest),
        "largest": int(largest),
        "at_smallest": trend.at(smallest).value,
        "at_largest": trend.at(largest).value,
        **_crossed(where),
    }


def _seeds_of_models(rows: Mapping[str, Any]) -> dict[str, list[float]]:
    """Column -> its value of each model that has one."""
    _, first = np.unique(rows["model"], return_index=True)
    names = ("variance_of_seeds", "n_seeds", "n_seeds_missing")
    return {
        name: [value for value in np.ma.asarray(rows[name])[first].tolist() if value is not None]
        for name in names
    }


def _crossed(where: Crossing) -> dict[str, Any]:
    return {
        "crossing": where.size,
        "crossing_low": where.low,
        "crossing_high": where.high,
        "no_crossing_reason": where.reason,
    }
