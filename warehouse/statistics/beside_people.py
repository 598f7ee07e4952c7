"""Contrasts of model judges beside people's labels: how far the judge is off, and what people would find."""

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np

from warehouse.statements import HERE, fetch
from warehouse.statistics.pairs import TEST, Columns, keep
from warehouse.statistics.prediction_powered import FEWEST_LABELLED, corrected_by_people, interval_of_mean
from warehouse.statistics.sequential import STOPPED, stopping_seeds

_PLACE = (*TEST, "people", "people_measure")


def contrasts_beside_people(connection: duckdb.DuckDBPyConnection, experiment: str) -> list[dict[str, Any]]:
    """Return the rows of `contrasts_beside_people` of a study whose contrasts are computed."""
    stopped = stopping_seeds(connection, experiment)
    return [
        place | _beside(rows, place["contrast"] in stopped) for place, rows in _read(connection, experiment)
    ]


def _read(connection: duckdb.DuckDBPyConnection, experiment: str) -> Iterator[tuple[dict[str, Any], Columns]]:
    text = (HERE / "statistics" / "beside_people.sql").read_text("utf-8")
    connection.execute(f"create or replace temp table beside_people as {text}", {"experiment": experiment})
    names = ", ".join(_PLACE)
    places = fetch(connection, f"select {names}, count(*) as n from beside_people group by all order by all")
    found = connection.execute(f"from beside_people order by {names}, item").fetchnumpy()
    connection.execute("drop table temp.beside_people")
    columns: Columns = {name: np.ma.filled(found[name], np.nan) for name in ("judged", "labelled", "width")}
    columns |= {name: found[name] for name in ("is_drawn", "is_random")}
    end = 0
    for place in places:
        start, end = end, end + place.pop("n")
        yield place, {name: column[start:end] for name, column in columns.items()}


def _beside(rows: Columns, is_stopped: bool) -> dict[str, Any]:
    """Columns of a row but its place, from an entry for each item that the judge scored on both sides."""
    both = keep(rows, ~np.isnan(rows["labelled"]))
    n_labelled, width = len(both["labelled"]), float(rows["width"][0])
    found: dict[str, Any] = {"n": len(rows["judged"]), "n_labelled": n_labelled}
    if n_labelled:
        found |= {"mean_of_people": both["labelled"].mean(), "mean_of_judge": both["judged"].mean()}
    if n_labelled > 1 and not np.isnan(width):
        errors = both["labelled"] - both["judged"]
        low, high = interval_of_mean(errors, 2 * width)
        found |= {"bias": errors.mean(), "bias_ci_low": low, "bias_ci_high": high}
    reason = STOPPED if is_stopped else _uncorrected(rows, width)
    if reason:
        return found | {"uncorrected_reason": reason}
    random, rest = keep(rows, rows["is_random"]), keep(rows, ~rows["is_random"])
    corrected = corrected_by_people(random["labelled"], random["judged"], rest["judged"], width)
    estimate, low, high = (
        float(np.clip(end, -width, width)) for end in (corrected.estimate, *corrected.interval)
    )
    return found | {"estimate": estimate, "ci_low": low, "ci_high": high, "weight": corrected.weight}


def _uncorrected(rows: Columns, width: float) -> str | None:
    """Return why there is no corrected contrast, or None."""
    n_drawn, n_random = int(rows["is_drawn"].sum()), int(rows["is_random"].sum())
    if not n_drawn:
        return "no random draw of `xp sample` is labelled in full"
    if n_random < n_drawn:
        return (
            f"{n_drawn - n_random} of {n_drawn} items drawn at random are not labelled in full on both sides"
        )
    if n_random < FEWEST_LABELLED:
        return f"{n_random} labelled items are too few: {FEWEST_LABELLED} are needed"
    return "the scale of people's scores is not known" if np.isnan(width) else None
