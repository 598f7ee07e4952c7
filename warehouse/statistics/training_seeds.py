"""Training seeds of a study: the scores of trained methods seed by seed, and which methods share a draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from warehouse.statements import fetch
from warehouse.statistics.estimates import Estimate, Floats
from warehouse.statistics.pairs import Row
from warehouse.statistics.seeds import Runs, variance_of_seeds, with_seeds


@dataclass(frozen=True, slots=True)
class Seeds:
    """Training seeds behind one estimate."""

    n: int | None
    """Seeds that have scores, of the trained cell with the fewest; None where none is trained."""
    n_missing: int
    """Seeds of methods that were asked for and lack scores in a cell."""
    runs: tuple[Runs, ...]
    """Each independent set of training runs."""

    @property
    def variance(self) -> float | None:
        """Variance that seeds alone give to the estimate; None with one seed or fewer than two items."""
        return variance_of_seeds(self.runs) if self.runs else None

    def estimate(self, over_items: Estimate | None) -> Estimate | None:
        """Estimate with its standard error over items and seeds; None without several seeds or items."""
        if not self.runs or over_items is None or over_items.standard_error is None:
            return None
        return with_seeds(over_items, self.runs)


@dataclass(frozen=True, slots=True)
class Cell:
    """A model's method asked in a language, as part of an estimate that is a signed sum of such cells."""

    sign: int
    language: str
    model: str
    method: str
    tuned: str
    """Languages tuned on; empty where it was not tuned."""

    @property
    def arm(self) -> tuple[str, str, str]:
        return self.model, self.method, self.tuned


def cells_of_contrast(place: Row, other: str = "", sign: int = 1) -> list[Cell]:
    """Return both sides of a contrast; with `other` set to `other_`, those of a gap's subtracted contrast."""
    language, model, method = place[f"{other}language"], place["model"], place["method"]
    of, against = (
        ((model, place["of"]), (model, place["against"]))
        if method is None
        else ((model, method), (place["against"], method))
    )
    return [
        Cell(sign, language, *of, place[f"{other}of_train_languages"]),
        Cell(-sign, language, *against, place[f"{other}against_train_languages"]),
    ]


def cells_of_gap(place: Row) -> list[Cell]:
    """Return the four cells of a gap between languages."""
    return [*cells_of_contrast(place), *cells_of_contrast(place, "other_", sign=-1)]


class TrainingSeeds:
    """Scores of trained methods seed by seed, and which seeds of two methods share a draw. They are read of
    the models in the temporary table `slice_models`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, slice_: Mapping[str, Any]) -> None:
        here = {name: slice_[name] for name in ("experiment", "dataset")}
        where = (
            "where train_languages <> '' and experiment = $experiment and dataset = $dataset and model in"
            " (from slice_models)"
        )
        asked = fetch(
            connection,
            f"select language, model, method, train_languages, list(distinct seed) as seeds from cells"
            f" {where} and seed is not null group by all",
            here,
        )
        self._asked = {
            (row["language"], row["model"], row["method"], row["train_languages"]): set(row["seeds"])
            for row in asked
        }
        self._scores: dict[tuple[str, ...], dict[int, dict[str, float]]] = {}
        several = {key for key, seeds in self._asked.items() if len(seeds) > 1}
        if several:
            rows = connection.execute(
                f"""
                select language, model, method, train_languages, measure, seed, item, avg(score)
                from verdicts {where} and seed is not null and score is not null
                group by all
                """,
                here,
            ).fetchall()
            for *cell, seed, item, score in rows:
                self._scores.setdefault(tuple(cell), {}).setdefault(seed, {})[item] = score
        # Training that two methods have in common at one seed: a step below both, or rows drawn from the same
        # data.
        draws = connection.execute(
            f"""
            select cells.model, cells.method, cells.train_languages, cells.seed, steps.step_id,
                case
                    when coalesce(settings ->> '$.rows', settings ->> '$.validation.rows') is not null
                    then coalesce(steps.settings ->> '$.train', steps.settings ->> '$.pairs')
                end as drawn_from
            from cells
            join cell_training on cell_training.cell_id = cells.cell_id
            join steps on steps.step_id = cell_training.step_id
            {where} and seed is not null
            """,
            here,
        ).fetchall()
        self._draws: dict[tuple[str, str, str, int], set[str]] = {}
        for model, method, tuned, seed, step_id, drawn_from in draws:
            self._draws.setdefault((model, method, tuned, seed), set()).update(
                one for one in (step_id, drawn_from) if one
            )

    def of(self, cells: Sequence[Cell], measure: str, shares_items: bool = True) -> Seeds:
        """Seeds behind a signed sum of cells, paired by seed where cells share training, else independent.

        Args:
            cells: trained or not.
            measure: what they were scored on.
            shares_items: whether equal item names in two languages are the same item.
        """
        trained = [cell for cell in cells if (cell.language, *cell.arm) in self._asked]
        if not trained:
            return Seeds(None, 0, ())
        n_seeds: list[int] = []
        missing: set[tuple[str, str, str, int]] = set()
        groups: list[list[Cell]] = []
        for cell in trained:
            asked, found = self._asked[cell.language, *cell.arm], self._found(cell, measure)
            n_seeds.append(len(found) if len(asked) > 1 else 1)
            missing |= {(*cell.arm, seed) for seed in asked - found.keys()} if len(asked) > 1 else set()
            group = next((group for group in groups if self._share_training(cell, group, measure)), None)
            if group is None:
                groups.append([cell])
            else:
                group.append(cell)
        found_runs = (self._runs(group, measure, shares_items) for group in groups)
        return Seeds(min(n_seeds), len(missing), tuple(runs for runs in found_runs if runs is not None))

    def _found(self, cell: Cell, measure: str) -> Mapping[int, Mapping[str, float]]:
        return self._scores.get((cell.language, *cell.arm, measure), {})

    def _common_seeds(self, cells: Sequence[Cell], measure: str) -> list[int]:
        return sorted(set[int].intersection(*(set(self._found(cell, measure)) for cell in cells)))

    def _share_training(self, cell: Cell, group: Sequence[Cell], measure: str) -> bool:
        seeds = self._common_seeds([cell, *group], measure)
        return len(seeds) > 1 and any(
            all(
                self._draws.get((*cell.arm, seed), set()) & self._draws.get((*other.arm, seed), set())
                for seed in seeds
            )
            for other in group
        )

    def _runs(self, cells: Sequence[Cell], measure: str, shares_items: bool) -> Runs | None:
        """Signed sums of cells by item and seed, a matrix for each sample of items.

        None with fewer than two seeds or items.
        """
        seeds = self._common_seeds(cells, measure)
        languages = dict.fromkeys(cell.language for cell in cells)
        samples = (
            [cells]
            if shares_items
            else [[cell for cell in cells if cell.language == language] for language in languages]
        )
        matrices = [self._matrix(sample, seeds, measure) for sample in samples]
        return matrices if len(seeds) > 1 and all(len(matrix) > 1 for matrix in matrices) else None

    def _matrix(self, cells: Sequence[Cell], seeds: Sequence[int], measure: str) -> Floats:
        """Signed sums of cells over the items that all have with every seed: items × seeds."""
        scores = [(cell.sign, self._found(cell, measure)) for cell in cells]
        items = (
            sorted(set[str].intersection(*(set(found[seed]) for _, found in scores for seed in seeds)))
            if seeds
            else []
        )
        return np.array(
            [[sum(sign * found[seed][item] for sign, found in scores) for seed in seeds] for item in items]
        )
