"""Paths of recorded answers and verdicts, in which names stand for those of a cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from dsl.errors import DataError
from dsl.messages import listed
from dsl.values import Language, Name

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CellNames:
    """Names of one cell, as paths have them."""

    dataset: Name
    language: Language
    model: Name
    method: Name
    seed: int | None = None
    model_word: str | None = None
    """The word that `{model}` stands for; without it, the model's name."""

    def words(self) -> dict[str, str]:
        """Return the word that each placeholder stands for."""
        named = {
            "model": self.model_word or self.model,
            "method": self.method,
            "dataset": self.dataset,
            "language": self.language,
        }
        return named if self.seed is None else {**named, "seed": str(self.seed)}

    def own(self) -> frozenset[str]:
        """Return the names under which a map of files may have this cell's."""
        return frozenset({self.model, self.method, self.dataset, self.language})


def own_entry(paths: Mapping[Name, T], cell: CellNames) -> T:
    """Return the entry of a map of files under a name of the cell's.

    Raises:
        DataError: there is none, or more than one.
    """
    keys = [key for key in paths if key in cell.own()]
    if len(keys) == 1:
        return paths[keys[0]]
    found = f"both {listed(keys)} name" if keys else f"none of {listed(paths)} names"
    where = f"`{cell.method}` on `{cell.model}` (`{cell.dataset}` in `{cell.language}`)"
    raise DataError(f"{found} a file for the cell of {where}: exactly one is needed")
