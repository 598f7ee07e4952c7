"""Training seeds of a study: the scores of trained methods seed by seed, and which methods share a draw."""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np

from warehouse.query import fetch
from warehouse.statistics.estimates import Estimate, Floats
from warehouse.statistics.pairs import Row
from warehouse.statistics.seeds import estimate_over_seeds


@dataclass(frozen=True, slots=True)
class SeedsOfPair:
    """Training seeds behind one contrast in one place."""

    n: int | None
    """Seeds that have scores, of the trained side with the fewer; None where no side is trained."""
    n_missing: int
    by_seed: tuple[Floats, ...]
    """Scores or differences of each independent set of runs, for `estimate_over_seeds`."""

    def estimate(self, differences: Floats) -> Estimate | None:
        """The mean with its error over items and seeds; None with one seed or less than two items."""
        return estimate_over_seeds(differences, self.by_seed) if self.by_seed and len(differences) > 1 else None


_Arm = tuple[str, str]
"""Method and languages tuned on."""


class TrainingSeeds:
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
