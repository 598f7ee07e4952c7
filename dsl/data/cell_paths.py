"""Paths of recorded answers and verdicts, in which names stand for those of a cell."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dsl.errors import DataError
from dsl.messages import listed, suggest
from dsl.values import Language, Name

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


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


def filled(text: str, words: Mapping[str, str]) -> str:
    """Put words in the place of a text's placeholders.

    Raises:
        DataError: there is a placeholder that nothing stands for.
    """

    def word(found: re.Match[str]) -> str:
        if found[1] in words:
            return words[found[1]]
        if found[1] == "seed":
            raise DataError(f"`{text}`: `{{seed}}` stands for nothing here: this cell has no seed of its own")
        raise DataError(f"`{text}`: there is no placeholder `{{{found[1]}}}`. {suggest(found[1], words)}")

    return _PLACEHOLDER.sub(word, text)


def path_of(path: str | Mapping[Name, str], cell: CellNames) -> str:
    """Return the path of a cell's file: of a map, the one under a name of the cell's.

    Raises:
        DataError: the map has no file for the cell, or more than one; or a placeholder is unknown.
    """
    if not isinstance(path, str):
        keys = [key for key in path if key in cell.own()]
        if len(keys) != 1:
            found = f"both {listed(keys)} name" if keys else f"none of {listed(path)} names"
            where = f"`{cell.method}` on `{cell.model}` (`{cell.dataset}` in `{cell.language}`)"
            raise DataError(f"{found} a file for the cell of {where}: exactly one is needed")
        path = path[keys[0]]
    return filled(path, cell.words())
