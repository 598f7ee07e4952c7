"""Computes a study's statistics from the base views and puts them in tables, in the place of what was computed before."""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from warehouse.connect import HERE, kept_files, run_file
from warehouse.query import fetch
from warehouse.statistics.contrast import PairedTest
from warehouse.statistics.corrections import ALPHA, Correction, correct, smallest_corrected
from warehouse.statistics.estimates import Estimate, Floats
from warehouse.statistics.gaps import Gap, WelchTest, language_gap
from warehouse.statistics.paired import Unscored, bounds_for_unscored, length_adjusted, standardised_effect
from warehouse.statistics.seeds import estimate_over_seeds
from warehouse.statistics.sign_flips import smallest_p_value
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

_GAP = (*_TEST, "other_language", "other_of_train_languages", "other_against_train_languages")

_CORRECTED = {
    **dict.fromkeys(("place", "n_tests"), "bigint"),
    **dict.fromkeys(("family", "correction"), "varchar"),
    **dict.fromkeys(("p_corrected", "ci_low_corrected", "ci_high_corrected", "smallest_p_corrected"), "double"),
}

_NUMBERS = (
    *("difference", "characters_of", "characters_against", "scale_low", "scale_high"),
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
    pairs = _pairs(connection, slice_)
    seeds = _Seeds(connection, slice_)
    tests = [_test(rows, seeds.of(place)) | {name: place[name] for name in _TEST} for place, rows in pairs]
    _insert(connection, "contrast_tests", experiment, tests)
    _insert(connection, "language_gaps", experiment, [place | _gap(gap) for place, gap in _gaps(connection, experiment, pairs)])
    compared = (HERE / "statistics" / "comparisons.sql").read_text("utf-8")
    _insert(connection, "method_strengths", experiment, _strengths(fetch(connection, compared, {"experiment": experiment})))
    for table in ("verdicts", "verdicts_by_item", "verdicts_by_cell", "completions", "paired_scores"):
        connection.execute(f"drop table temp.{table}")


def refresh_study(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    """Compute again what goes over all models of a study, once its slices are computed: corrected p-values and trends with size.

    To be called in a transaction.
    """
    _correct(connection, experiment)
    run_file(connection, HERE / "statistics" / "trends.sql", experiment=experiment)
    for table, key in _TRENDS.items():
        connection.execute(f"delete from {table} where experiment = ?", [experiment])
        _insert(connection, table, experiment, _trends(connection, f"temp.{table}_items", key))
        connection.execute(f"drop table temp.{table}_items")


def _pairs(connection: duckdb.DuckDBPyConnection, slice_: Mapping[str, str]) -> list[tuple[Row, Columns]]:
    """Everything paired of one model on one data set, place by place, with the pairs of each in the order of their items."""
    here = "from paired_scores where experiment = $experiment and dataset = $dataset and model = $model"
    places = fetch(connection, f"select {', '.join(_PLACE)}, count(*) as n {here} group by all order by all", dict(slice_))
    found: dict[str, Any] = connection.execute(f"{here} order by {', '.join(_PLACE)}, item", dict(slice_)).fetchnumpy()
    columns: Columns = {name: found[name] for name in ("item", "item_cluster")}
    columns |= {name: np.ma.filled(np.ma.asarray(found[name], dtype=np.float64), np.nan) for name in _NUMBERS}
    counts: list[int] = [place.pop("n") for place in places]
    return [
        (place, {name: column[end - n : end] for name, column in columns.items()})
        for place, n, end in zip(places, counts, np.cumsum(counts).tolist(), strict=True)
    ]


def _where(rows: Columns, keep: NDArray[np.bool_]) -> Columns:
    return {name: column[keep] for name, column in rows.items()}


def _test(rows: Columns, seeds: "SeedsOfPair") -> dict[str, Any]:
    """Everything said of one contrast in one place, from all of its items."""
    scored = _where(rows, ~np.isnan(rows["difference"]))
    long = _where(scored, ~np.isnan(scored["characters_of"] + scored["characters_against"]))
    adjusted = length_adjusted(long["difference"], long["characters_of"], long["characters_against"], long["item_cluster"].tolist())
    low, high = _bounds(rows)
    over_seeds = seeds.estimate(scored["difference"])
    return {
        **_tested(PairedTest(scored["difference"], _width(rows), over_seeds) if len(scored["item"]) else None),
        "df": over_seeds and over_seeds.df,
        "n_seeds": seeds.n,
        "n_seeds_missing": seeds.n_missing,
        "standardised_effect": standardised_effect(scored["difference"]),
        "bound_low": low,
        "bound_high": high,
        **{f"length_adjusted_{name}": value for name, value in _written(adjusted.estimate).items()},
        "unadjusted_reason": adjusted.reason,
    }


def _tested(test: PairedTest | WelchTest | None) -> dict[str, Any]:
    low, high = (test and test.interval(ALPHA)) or (None, None)
    return {"standard_error": test and test.standard_error, "ci_low": low, "ci_high": high, "p_value": test and test.p_value}


def _width(rows: Columns) -> float | None:
    """The largest difference that the scale allows."""
    width = float(rows["scale_high"][0] - rows["scale_low"][0])
    return None if np.isnan(width) else width


@dataclass(frozen=True, slots=True)
class SeedsOfPair:
    """Training seeds behind one contrast in one place."""

    n: int | None
    """Seeds that have scores, of the trained side with the fewer; None where no side is trained."""
    n_missing: int
    by_seed: tuple[Floats, ...]
    """As `estimate_over_seeds` takes them."""

    def estimate(self, differences: Floats) -> Estimate | None:
        """The mean with its error over items and seeds; None with one seed or less than two items."""
        return estimate_over_seeds(differences, self.by_seed) if self.by_seed and len(differences) > 1 else None


_Arm = tuple[str, str]
"""Method and languages tuned on."""


class _Seeds:
    """Scores of trained methods seed by seed, and which seeds of two methods share a draw."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, slice_: Mapping[str, str]) -> None:
        where = "where train_languages <> '' and experiment = $experiment and dataset = $dataset and model = $model"
        asked = fetch(
            connection,
            f"select language, method, train_languages, list(distinct seed) as seeds from cells {where} and seed is not null group by all",
            dict(slice_),
        )
        self._asked = {(row["language"], row["method"], row["train_languages"]): set(row["seeds"]) for row in asked}
        self._scores: dict[tuple[str, ...], dict[int, dict[str, float]]] = {}
        several = {key for key, seeds in self._asked.items() if len(seeds) > 1}
        if several:
            rows = connection.execute(
                f"""
                select language, method, train_languages, measure, seed, item, score
                from verdicts {where} and seed is not null and score is not null
                """,
                dict(slice_),
            ).fetchall()
            for language, method, tuned, measure, seed, item, score in rows:
                self._scores.setdefault((language, method, tuned, measure), {}).setdefault(seed, {})[item] = score
        # Training that two methods have in common at one seed: a step below both, or rows drawn from the same data.
        draws = connection.execute(
            f"""
            select cells.method, cells.train_languages, cells.seed, steps.step_id,
                case when steps.settings ->> '$.rows' is not null
                    then coalesce(steps.settings ->> '$.train', steps.settings ->> '$.pairs') end as drawn_from
            from cells
            join cell_training on cell_training.cell_id = cells.cell_id
            join steps on steps.step_id = cell_training.step_id
            {where} and seed is not null
            """,
            dict(slice_),
        ).fetchall()
        self._draws: dict[tuple[str, str, int], set[str]] = {}
        for method, tuned, seed, step_id, drawn_from in draws:
            self._draws.setdefault((method, tuned, seed), set()).update(one for one in (step_id, drawn_from) if one)

    def of(self, place: Row) -> SeedsOfPair:
        """Seeds of both sides of a contrast, paired by seed where they share training, else independent."""
        sides: list[_Arm] = [(place[side], place[f"{side}_train_languages"]) for side in ("of", "against")]
        trained = [arm for arm in sides if (place["language"], *arm) in self._asked]
        if not trained:
            return SeedsOfPair(None, 0, ())
        found = [self._scores.get((place["language"], *arm, place["measure"]), {}) for arm in trained]
        asked = [self._asked[place["language"], *arm] for arm in trained]
        n_seeds = [len(scores) if len(seeds) > 1 else 1 for scores, seeds in zip(found, asked, strict=True)]
        missing = sum(len(seeds) - n for seeds, n in zip(asked, n_seeds, strict=True))
        if len(trained) == 2 and self._are_paired(trained[0], trained[1], set(found[0]) & set(found[1])):
            shared = sorted(set(found[0]) & set(found[1]))
            paired = {s: {i: x - found[1][s][i] for i, x in found[0][s].items() if i in found[1][s]} for s in shared}
            found = [paired]
        return SeedsOfPair(min(n_seeds), missing, tuple(matrix for scores in found if (matrix := _matrix(scores)) is not None))

    def _are_paired(self, one: _Arm, other: _Arm, seeds: set[int]) -> bool:
        return len(seeds) > 1 and all(self._draws.get((*one, s), set()) & self._draws.get((*other, s), set()) for s in seeds)


def _matrix(scores: Mapping[int, Mapping[str, float]]) -> Floats | None:
    """Items that every seed has a score for × seeds; None with less than two of either."""
    if len(scores) < 2:
        return None
    items = sorted(set[str].intersection(*(set(of_seed) for of_seed in scores.values())))
    if len(items) < 2:
        return None
    return np.array([[scores[seed][item] for seed in sorted(scores)] for item in items])


def _bounds(rows: Columns) -> tuple[float, float] | tuple[None, None]:
    """Over the items that have a verdict, scored or not, on both sides."""
    low, high = float(rows["scale_low"][0]), float(rows["scale_high"][0])
    n_of, n_against = (rows[f"n_scored_{side}"] + rows[f"n_unscored_{side}"] for side in ("of", "against"))
    both = _where(rows, (n_of > 0) & (n_against > 0))
    if not len(both["item"]) or np.isnan(low + high):
        return None, None
    of, against = (Unscored(both[f"total_{side}"], both[f"n_scored_{side}"], both[f"n_unscored_{side}"]) for side in ("of", "against"))
    return bounds_for_unscored(of, against, low, high)


def _gaps(connection: duckdb.DuckDBPyConnection, experiment: str, pairs: Sequence[tuple[Row, Columns]]) -> list[tuple[dict[str, Any], Gap]]:
    ((languages, parallel),) = connection.execute(
        "select languages, parallel from experiments where experiment = ?", [experiment]
    ).fetchall()
    order = {language: place for place, language in enumerate(languages)}
    contrasts: dict[tuple[Any, ...], dict[tuple[str, ...], tuple[dict[str, float], float | None]]] = {}
    for place, rows in pairs:
        scored = _where(rows, ~np.isnan(rows["difference"]))
        if len(scored["item"]):
            key = tuple(place[name] for name in (*_CONTRAST, "model", "num_parameters"))
            variant = tuple(place[name] for name in ("language", *_TUNED))
            contrasts.setdefault(key, {})[variant] = _by_item(scored, "difference"), _width(rows)
    found: list[tuple[dict[str, Any], Gap]] = []
    for key, variants in contrasts.items():
        contrast = dict(zip((*_CONTRAST, "model", "num_parameters"), key, strict=True))
        for one, other in combinations(sorted(variants, key=lambda variant: (order[variant[0]], variant)), 2):
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
    """Whether both methods were tuned on the same in both languages, or each on the language it is asked in."""
    return all(a == b or (a == one[0] and b == other[0]) for a, b in zip(one[1:], other[1:], strict=True))


def _languages(language: tuple[str, ...], other_language: tuple[str, ...]) -> dict[str, str]:
    return {
        **dict(zip(("language", *_TUNED), language, strict=True)),
        **dict(zip(("other_language", *(f"other_{name}" for name in _TUNED)), other_language, strict=True)),
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {"estimate": gap.estimate, **_tested(gap.test), "n": gap.n, "is_paired": gap.is_paired}


def _trends(connection: duckdb.DuckDBPyConnection, table: str, key: Sequence[str]) -> list[dict[str, Any]]:
    """Trends over the models of each place that `key` tells apart, from a table of a value for each place, model and item."""
    counted = f"select {', '.join(key)}, count(distinct model) as n_models from {table} group by all having count(distinct model) > 1 order by all"
    place_is = " and ".join(f"{name} = ?" for name in key)
    wanted = f"select value, num_parameters, model, item from {table} where {place_is} order by model, num_parameters, item"
    return [place | _trend(connection.execute(wanted, [place[name] for name in key]).fetchnumpy()) for place in fetch(connection, counted)]


def _trend(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Of columns with an entry for each item and model."""
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


def _correct(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    """Correct the tests of a study, family by family: Holm over what it declared, else Benjamini–Hochberg, or –Yekutieli where arms are shared."""
    tests = fetch(
        connection,
        """
        select
            tests.rowid as place,
            tests.* exclude (experiment),
            contrasts.of,
            contrasts.against,
            contrasts.is_declared and list_contains(contrasts.on_judges, estimates.judge) as is_confirmatory,
            estimates.n
        from contrast_tests as tests
        join contrasts using (experiment, contrast)
        join contrast_estimates as estimates
            using (experiment, contrast, dataset, language, model, of_train_languages, against_train_languages, measure)
        where tests.experiment = ?
        order by place
        """,
        [experiment],
    )
    gaps = fetch(
        connection, "select rowid as place, * exclude (experiment) from language_gaps where experiment = ? order by place", [experiment]
    )
    explored = [row for row in tests if not row["is_confirmatory"]]
    families: list[tuple[str, str, Correction, list[dict[str, Any]]]] = [
        ("contrast_tests", "confirmatory", "holm", [row for row in tests if row["is_confirmatory"]]),
        ("contrast_tests", "exploratory", "benjamini_yekutieli" if _share_arms(explored) else "benjamini_hochberg", explored),
        ("language_gaps", "exploratory", "benjamini_yekutieli", gaps),
    ]
    found: dict[str, dict[int, dict[str, Any]]] = {"contrast_tests": {}, "language_gaps": {}}
    for table, family, correction, rows in families:
        made = [row for row in rows if row["p_value"] is not None]
        corrected = dict(zip((row["place"] for row in made), correct([row["p_value"] for row in made], correction), strict=True))
        for row in rows:
            one = corrected.get(row["place"])
            found[table][row["place"]] = {
                "place": row["place"],
                "family": family,
                "correction": correction,
                "n_tests": len(made),
                "p_corrected": one and one.p_value,
                "alpha": one and one.alpha,
                "smallest_p_corrected": smallest_corrected(smallest_p_value(row["n"]), len(made), correction),
            }
    for dataset, model in {(row["dataset"], row["model"]): None for row in (*tests, *gaps)}:
        pairs = _pairs(connection, {"experiment": experiment, "dataset": dataset, "model": model})
        _corrected_intervals(found, connection, experiment, pairs, tests, gaps, (dataset, model))
    for table, rows in found.items():
        smallest = ", smallest_p_corrected = corrected.smallest_p_corrected" if table == "contrast_tests" else ""
        connection.execute(
            f"""
            update {table}
            set family = corrected.family, correction = corrected.correction, n_tests = corrected.n_tests,
                p_corrected = corrected.p_corrected, ci_low_corrected = corrected.ci_low_corrected,
                ci_high_corrected = corrected.ci_high_corrected{smallest}
            from (select unnest(from_json($rows, $form), recursive := true)) as corrected
            where {table}.rowid = corrected.place
            """,
            {"rows": json.dumps(list(rows.values())), "form": json.dumps([_CORRECTED])},
        )


def _corrected_intervals(
    found: Mapping[str, dict[int, dict[str, Any]]],
    connection: duckdb.DuckDBPyConnection,
    experiment: str,
    pairs: Sequence[tuple[Row, Columns]],
    tests: Sequence[Row],
    gaps: Sequence[Row],
    slice_: tuple[str, str],
) -> None:
    """Put into `found` the intervals of one slice at the levels at which the corrections test."""
    here = {tuple(row[name] for name in _TEST): row for row in tests if (row["dataset"], row["model"]) == slice_}
    for place, columns in pairs:
        row = here[tuple(place[name] for name in _TEST)]
        differences = columns["difference"][~np.isnan(columns["difference"])]
        estimate = None if row["df"] is None else Estimate(float(differences.mean()), row["standard_error"], row["df"])
        if row["p_value"] is not None:
            _put(found["contrast_tests"][row["place"]], PairedTest(differences, _width(columns), estimate))
    between = {tuple(row[name] for name in _GAP): row for row in gaps if (row["dataset"], row["model"]) == slice_}
    for place, gap in _gaps(connection, experiment, pairs):
        row = between[tuple(place[name] for name in _GAP)]
        if row["p_value"] is not None:
            _put(found["language_gaps"][row["place"]], gap.test)


def _put(corrected: dict[str, Any], test: PairedTest | WelchTest) -> None:
    corrected["ci_low_corrected"], corrected["ci_high_corrected"] = test.interval(corrected["alpha"]) or (None, None)


def _share_arms(tests: Sequence[Row]) -> bool:
    """Whether a method is in several of the contrasts."""
    contrasts = {(row["contrast"], row["of"], row["against"]) for row in tests}
    arms = [arm for _, *both in contrasts for arm in both]
    return len(set(arms)) < len(arms)


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
