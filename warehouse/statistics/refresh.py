"""Computes a study's statistics from the base views and puts them in tables, in the place of what was computed before."""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from warehouse.connect import HERE, kept_files, run_file
from warehouse.query import fetch
from warehouse.statistics.estimates import Estimate
from warehouse.statistics.gaps import Gap, language_gap
from warehouse.statistics.paired import Unscored, bounds_for_unscored, length_adjusted, standardised_effect
from warehouse.statistics.permutation import holm, sign_flip_p
from warehouse.statistics.strengths import Comparison, strengths
from warehouse.statistics.trends import Crossing, crossing, size_trend

Row = Mapping[str, Any]
Columns = dict[str, Any]
"""Column -> array with an entry for each item; numbers are floats, null is NaN."""

_Row = TypeVar("_Row", bound=Row)

_CONTRAST = ("contrast", "of", "against", "dataset", "judge", "measure")
_TUNED = ("of_train_languages", "against_train_languages")

_TEST = ("contrast", "dataset", "language", "model", *_TUNED, "measure")
_PLACE = (*_CONTRAST, "model", "num_parameters", "language", *_TUNED)
"""What is paired is told apart by these."""

_NUMBERS = (
    *("difference", "variance", "characters_of", "characters_against", "scale_low", "scale_high"),
    *("total_of", "total_against", "n_scored_of", "n_scored_against", "n_unscored_of", "n_unscored_against"),
)

_TRENDS = {
    "size_trends": (*_CONTRAST, "language", *_TUNED),
    "score_size_trends": ("method", "train_languages", "dataset", "language", "judge", "measure"),
    "language_gap_size_trends": (
        *(*_CONTRAST, "language", "other_language", *_TUNED),
        *(f"other_{name}" for name in _TUNED),
    ),
}
"""Table -> the place of a trend; `trends.sql` makes what each is computed from."""

_BY_SLICE = ("paired_scores", "contrast_tests", "language_gaps", "method_strengths")
"""What is computed of one model on one data set, beside the questions whose answers are kept."""


def refresh_slice(connection: duckdb.DuckDBPyConnection, experiment: str, dataset: str, model: str) -> None:
    """Compute again what is kept of one model on one data set of a study. To be called in a transaction, whatever of its steps is done."""
    slice_ = {"experiment": experiment, "dataset": dataset, "model": model}
    for table in (*_BY_SLICE, *(file.stem for file in kept_files())):
        connection.execute(f"delete from {table} where experiment = $experiment and dataset = $dataset and model = $model", slice_)
    run_file(connection, HERE / "statistics" / "slice.sql", **slice_)
    for view in ("verdicts_by_item", "verdicts_by_cell"):
        text = (HERE / "views" / "base" / f"{view}.sql").read_text("utf-8")
        connection.execute(f"create or replace temp table {view} as {text}")
    run_file(connection, HERE / "statistics" / "pairs.sql", experiment=experiment)
    connection.execute(
        "create or replace temp table paired_scores as from main.paired_scores "
        "where experiment = $experiment and dataset = $dataset and model = $model order by all",
        slice_,
    )
    for file in kept_files():
        connection.execute(f"insert into {file.stem} by name {file.read_text('utf-8')}")
    pairs = _pairs(connection)
    _insert(connection, "contrast_tests", experiment, [_test(rows) | {name: place[name] for name in _TEST} for place, rows in pairs])
    _insert(connection, "language_gaps", experiment, _gaps(connection, experiment, pairs))
    compared = (HERE / "statistics" / "comparisons.sql").read_text("utf-8")
    _insert(connection, "method_strengths", experiment, _strengths(fetch(connection, compared, {"experiment": experiment})))
    for table in ("verdicts", "verdicts_by_item", "verdicts_by_cell", "completions", "paired_scores"):
        connection.execute(f"drop table temp.{table}")


def refresh_study(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    """Compute again what goes over all models of a study, once its slices are computed: corrected p-values and trends with size.

    To be called in a transaction.
    """
    for table in ("contrast_tests", "language_gaps"):
        _correct(connection, table, experiment)
    run_file(connection, HERE / "statistics" / "trends.sql", experiment=experiment)
    for table, key in _TRENDS.items():
        connection.execute(f"delete from {table} where experiment = ?", [experiment])
        _insert(connection, table, experiment, _trends(connection, f"temp.{table}_items", key))
        connection.execute(f"drop table temp.{table}_items")


def _pairs(connection: duckdb.DuckDBPyConnection) -> list[tuple[Row, Columns]]:
    """What is paired, place by place, with the pairs of each in the order of their items."""
    places = fetch(connection, f"select {', '.join(_PLACE)}, count(*) as n from temp.paired_scores group by all order by all")
    found: dict[str, Any] = connection.execute(f"from temp.paired_scores order by {', '.join(_PLACE)}, item").fetchnumpy()
    columns: Columns = {name: found[name] for name in ("item", "item_cluster")}
    columns |= {name: np.ma.filled(np.ma.asarray(found[name], dtype=np.float64), np.nan) for name in _NUMBERS}
    counts: list[int] = [place.pop("n") for place in places]
    return [
        (place, {name: column[end - n : end] for name, column in columns.items()})
        for place, n, end in zip(places, counts, np.cumsum(counts).tolist(), strict=True)
    ]


def _where(rows: Columns, keep: NDArray[np.bool_]) -> Columns:
    return {name: column[keep] for name, column in rows.items()}


def _test(rows: Columns) -> dict[str, Any]:
    """What is said of one contrast in one place, from all of its items."""
    scored = _where(rows, ~np.isnan(rows["difference"]))
    long = _where(scored, ~np.isnan(scored["characters_of"] + scored["characters_against"]))
    adjusted = length_adjusted(
        long["difference"], long["characters_of"], long["characters_against"], long["item_cluster"].tolist(), long["variance"]
    )
    low, high = _bounds(rows)
    return {
        "p_value": sign_flip_p(scored["difference"], scored["item_cluster"].tolist()),
        "standardised_effect": standardised_effect(scored["difference"]),
        "bound_low": low,
        "bound_high": high,
        **{f"length_adjusted_{name}": value for name, value in _written(adjusted.estimate).items()},
        "unadjusted_reason": adjusted.reason,
    }


def _bounds(rows: Columns) -> tuple[float, float] | tuple[None, None]:
    """Over the items that have a verdict, scored or not, on both sides."""
    low, high = float(rows["scale_low"][0]), float(rows["scale_high"][0])
    n_of, n_against = (rows[f"n_scored_{side}"] + rows[f"n_unscored_{side}"] for side in ("of", "against"))
    both = _where(rows, (n_of > 0) & (n_against > 0))
    if not len(both["item"]) or np.isnan(low + high):
        return None, None
    of, against = (Unscored(both[f"total_{side}"], both[f"n_scored_{side}"], both[f"n_unscored_{side}"]) for side in ("of", "against"))
    return bounds_for_unscored(of, against, low, high)


def _gaps(connection: duckdb.DuckDBPyConnection, experiment: str, pairs: Sequence[tuple[Row, Columns]]) -> list[dict[str, Any]]:
    ((languages, parallel),) = connection.execute(
        "select languages, parallel from experiments where experiment = ?", [experiment]
    ).fetchall()
    order = {language: place for place, language in enumerate(languages)}
    contrasts: dict[tuple[Any, ...], dict[tuple[str, ...], tuple[dict[str, float], dict[str, float]]]] = {}
    for place, rows in pairs:
        scored = _where(rows, ~np.isnan(rows["difference"]))
        if len(scored["item"]):
            key = tuple(place[name] for name in (*_CONTRAST, "model", "num_parameters"))
            by_item = _by_item(scored, "difference"), _by_item(scored, "variance")
            contrasts.setdefault(key, {})[tuple(place[name] for name in ("language", *_TUNED))] = by_item
    found: list[dict[str, Any]] = []
    for key, variants in contrasts.items():
        contrast = dict(zip((*_CONTRAST, "model", "num_parameters"), key, strict=True))
        for one, other in combinations(sorted(variants, key=lambda variant: (order[variant[0]], variant)), 2):
            if one[0] == other[0] or not _comparable(one, other):
                continue
            (here, here_variances), (there, there_variances) = variants[other], variants[one]
            gap = language_gap(here, there, parallel[contrast["dataset"]], here_variances, there_variances)
            if gap is not None:
                found.append(contrast | _gap(gap, language=other, other_language=one))
    return found


def _by_item(rows: Columns, name: str) -> dict[str, float]:
    return dict(zip(rows["item"].tolist(), rows[name].tolist(), strict=True))


def _comparable(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether both methods were tuned on the same in both languages, or each on the language it is asked in."""
    return all(a == b or (a == one[0] and b == other[0]) for a, b in zip(one[1:], other[1:], strict=True))


def _gap(gap: Gap, language: tuple[str, ...], other_language: tuple[str, ...]) -> dict[str, Any]:
    return {
        **dict(zip(("language", *_TUNED), language, strict=True)),
        **dict(zip(("other_language", *(f"other_{name}" for name in _TUNED)), other_language, strict=True)),
        **_written(gap.estimate),
        "p_value": gap.p_value,
        "n": gap.n,
        "is_paired": gap.is_paired,
    }


def _trends(connection: duckdb.DuckDBPyConnection, table: str, key: Sequence[str]) -> list[dict[str, Any]]:
    """Trends over the models of each place that `key` tells apart, from a table of a value for each place, model and item."""
    counted = f"select {', '.join(key)}, count(distinct model) as n_models from {table} group by all having count(distinct model) > 1 order by all"
    place_is = " and ".join(f"{name} = ?" for name in key)
    wanted = f"select value, num_parameters, model, item from {table} where {place_is} order by model, num_parameters, item"
    return [place | _trend(connection.execute(wanted, [place[name] for name in key]).fetchnumpy()) for place in fetch(connection, counted)]


def _trend(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a trend's row, from columns with an entry for each item and model."""
    is_known = np.ma.filled(rows["num_parameters"] != 0, False)
    values, sizes = (np.ma.getdata(rows[name])[is_known].astype(np.float64) for name in ("value", "num_parameters"))
    models, items = rows["model"][is_known].tolist(), rows["item"][is_known].tolist()
    counts = {"n": len(items), "n_items": len(set(items)), "n_sizes": len(np.unique(sizes))}
    trend = size_trend(values, sizes, models, items)
    if isinstance(trend, str):
        return counts | {"no_slope_reason": trend, "no_crossing_reason": f"cannot be said: {trend}"}
    smallest, largest = float(sizes.min()), float(sizes.max())
    where = crossing(trend, smallest, largest)
    slope = _written(trend.slope)
    return {
        **counts,
        "slope": slope.pop("estimate"),
        **slope,
        "p_value": trend.slope.p_value,
        "smallest": int(smallest),
        "largest": int(largest),
        "at_smallest": trend.at(smallest).value,
        "at_largest": trend.at(largest).value,
        **_crossed(where),
    }


def _crossed(where: Crossing) -> dict[str, Any]:
    return {"crossing": where.size, "crossing_low": where.low, "crossing_high": where.high, "no_crossing_reason": where.reason}


def _strengths(compared: Sequence[Row]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key, rows in _by(compared, "dataset", "language", "model", "judge", "measure").items():
        comparisons = [
            Comparison(
                (row["first_method"], row["first_train_languages"]),
                (row["second_method"], row["second_train_languages"]),
                row["item"],
                row["won"],
            )
            for row in rows
        ]
        for one in strengths(comparisons):
            found.append(
                {
                    **dict(zip(("dataset", "language", "model", "judge", "measure"), key, strict=True)),
                    **dict(zip(("method", "train_languages"), one.method, strict=True)),
                    "strength": one.strength,
                    "standard_error": one.standard_error,
                    "ci_low": one.ci_low,
                    "ci_high": one.ci_high,
                    "win_rate": one.win_rate,
                    "n": one.n,
                    "n_items": one.n_items,
                    "is_regularised": one.is_regularised,
                }
            )
    return found


def _correct(connection: duckdb.DuckDBPyConnection, table: str, experiment: str) -> None:
    """Holm's correction over all tests of one measure: what a reader looks through at once."""
    tests = fetch(connection, f"select rowid as place, measure, p_value from {table} where experiment = ? order by place", [experiment])
    corrected: list[dict[str, Any]] = []
    for family in _by(tests, "measure").values():
        made = [row for row in family if row["p_value"] is not None]
        found = dict(zip((row["place"] for row in made), holm([row["p_value"] for row in made]), strict=True))
        corrected += [{"place": row["place"], "p_holm": found.get(row["place"]), "n_tests": len(made)} for row in family]
    connection.execute(
        f"""
        update {table}
        set p_holm = corrected.p_holm, n_tests = corrected.n_tests
        from (select unnest(from_json($rows, '[{{"place": "bigint", "p_holm": "double", "n_tests": "bigint"}}]'), recursive := true)) as corrected
        where {table}.rowid = corrected.place
        """,
        {"rows": json.dumps(corrected)},
    )


def _written(estimate: Estimate | None) -> dict[str, float | None]:
    low, high = (estimate and estimate.interval) or (None, None)
    return {
        "estimate": estimate and estimate.value,
        "standard_error": estimate and estimate.standard_error,
        "ci_low": low,
        "ci_high": high,
    }


def _by(rows: Iterable[_Row], *names: str) -> dict[tuple[Any, ...], list[_Row]]:
    groups: dict[tuple[Hashable, ...], list[_Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def _insert(connection: duckdb.DuckDBPyConnection, table: str, experiment: str, rows: Sequence[Row]) -> None:
    """Rows as one JSON text: DuckDB takes single rows a hundred times more slowly."""
    if not rows:
        return
    columns = connection.execute("select column_name, data_type from duckdb_columns() where table_name = ?", [table]).fetchall()
    statement = f"insert into {table} by name select unnest(from_json($rows, $form), recursive := true)"
    found = [{**row, "experiment": experiment} for row in rows]
    connection.execute(statement, {"rows": json.dumps(found, allow_nan=False), "form": json.dumps([dict(columns)])})
