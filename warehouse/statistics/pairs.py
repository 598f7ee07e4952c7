"""Pairs of scores that contrasts are made of, and the gaps between languages that follow from them."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from warehouse.statements import fetch
from warehouse.statistics.gaps import Gap, language_gap

Row = Mapping[str, Any]
Columns = dict[str, Any]
"""Column -> array with an entry for each item; numbers are floats, null is NaN."""


CONTRAST = ("contrast", "of", "against", "dataset", "judge", "measure")
TUNED = ("of_train_languages", "against_train_languages")

TEST = ("contrast", "dataset", "language", "model", *TUNED, "measure")
_WHOLE = (*CONTRAST, "method", "model", "num_parameters")
"""Coordinates that all languages of a contrast share."""
PLACE = (*_WHOLE, "language", *TUNED)
"""Coordinates of what is paired."""

_NUMBERS = (
    *("difference", "characters_of", "characters_against", "scale_low", "scale_high"),
    *("total_of", "total_against", "n_scored_of", "n_scored_against", "n_unscored_of", "n_unscored_against"),
)


def read_pairs(connection: duckdb.DuckDBPyConnection, slice_: Mapping[str, Any]) -> list[tuple[Row, Columns]]:
    """Read the pairs of models on one data set, place by place, in the order of their items."""
    here = (
        "from paired_scores where experiment = $experiment and dataset = $dataset"
        " and list_contains($models, model)"
    )
    places = fetch(
        connection, f"select {', '.join(PLACE)}, count(*) as n {here} group by all order by all", dict(slice_)
    )
    found: dict[str, Any] = connection.execute(
        f"{here} order by {', '.join(PLACE)}, item", dict(slice_)
    ).fetchnumpy()
    columns: Columns = {name: found[name] for name in ("item", "item_cluster")}
    columns |= {name: np.ma.filled(np.ma.asarray(found[name], dtype=np.float64), np.nan) for name in _NUMBERS}
    counts: list[int] = [place.pop("n") for place in places]
    return [
        (place, {name: column[end - n : end] for name, column in columns.items()})
        for place, n, end in zip(places, counts, np.cumsum(counts).tolist(), strict=True)
    ]


def keep(rows: Columns, is_kept: NDArray[np.bool_]) -> Columns:
    """Rows where an array of booleans is true."""
    return {name: column[is_kept] for name, column in rows.items()}


def scale_width(rows: Columns) -> float | None:
    """Return the largest difference that the scale allows; None without bounds."""
    width = float(rows["scale_high"][0] - rows["scale_low"][0])
    return None if np.isnan(width) else width


def gaps_between_languages(
    connection: duckdb.DuckDBPyConnection, experiment: str, pairs: Sequence[tuple[Row, Columns]]
) -> list[tuple[dict[str, Any], Gap]]:
    """Return the gap of each contrast between each two languages, with its coordinates.

    The later code minus the earlier.
    """
    ((parallel,),) = connection.execute(
        "select parallel from experiments where experiment = ?", [experiment]
    ).fetchall()
    contrasts: dict[tuple[Any, ...], dict[tuple[str, ...], tuple[dict[str, float], float | None]]] = {}
    for place, rows in pairs:
        scored = keep(rows, ~np.isnan(rows["difference"]))
        if len(scored["item"]):
            key = tuple(place[name] for name in _WHOLE)
            variant = tuple(place[name] for name in ("language", *TUNED))
            contrasts.setdefault(key, {})[variant] = _by_item(scored, "difference"), scale_width(rows)
    found: list[tuple[dict[str, Any], Gap]] = []
    for key, variants in contrasts.items():
        contrast = dict(zip(_WHOLE, key, strict=True))
        for one, other in combinations(sorted(variants), 2):
            if one[0] == other[0] or not _comparable(one, other):
                continue
            (here, width), (there, _) = variants[other], variants[one]
            gap = language_gap(here, there, parallel[contrast["dataset"]], width)
            if gap is not None:
                found.append((contrast | _languages(language=other, other_language=one), gap))
    return found


def _by_item(rows: Columns, name: str) -> dict[str, float]:
    return dict(zip(rows["item"].tolist(), rows[name].tolist(), strict=True))


def _comparable(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return True for methods tuned on the same in both languages, or each on the language it is asked in."""
    return all(a == b or (a == one[0] and b == other[0]) for a, b in zip(one[1:], other[1:], strict=True))


def _languages(language: tuple[str, ...], other_language: tuple[str, ...]) -> dict[str, str]:
    return {
        **dict(zip(("language", *TUNED), language, strict=True)),
        **dict(zip(("other_language", *(f"other_{name}" for name in TUNED)), other_language, strict=True)),
    }
