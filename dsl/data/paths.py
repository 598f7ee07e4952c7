"""Paths that a spec names: their placeholders, the files of a cell, and the folders that they start from."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dsl.errors import DataError
from dsl.messages import listed, suggest
from dsl.values import Language, Name

T = TypeVar("T")

FOLDER_VARIABLE = "XP_DATA"
"""The environment variable that names a folder of data files."""


def filled(text: str, names: Mapping[str, str]) -> str:
    """A path or a name with its placeholders filled in. Raises DataError where one means nothing here."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in names:
            allowed = [f"{{{name}}}" for name in names]
            raise DataError(f"`{text}`: nothing is known of `{found[0]}` here. {suggest(found[0], allowed)}")
        return names[found[1]]

    return re.sub(r"\{(\w+)\}", value, text)


def not_there() -> str:
    """Return the rest of an error about a file that is in neither folder."""
    return "No such file or directory" + (
        f", nor in the folder that {FOLDER_VARIABLE} names"
        if os.environ.get(FOLDER_VARIABLE)
        else f". {FOLDER_VARIABLE} may name another folder to look for it in"
    )


def beside_or_shared(folder: Path, path: str) -> Path:
    """The folder that a spec's relative path starts from: its own, or else the one that XP_DATA names where
    that has it."""
    shared = os.environ.get(FOLDER_VARIABLE)
    return (
        Path(shared) if shared and not (folder / path).exists() and (Path(shared) / path).exists() else folder
    )


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
    turn: int | None = None
    """Number, from 1, of the question where a row asks several in turn."""

    def words(self) -> dict[str, str]:
        """Return the word that each placeholder stands for."""
        named = {
            "model": self.model_word or self.model,
            "method": self.method,
            "dataset": self.dataset,
            "language": self.language,
        }
        numbers = {"seed": self.seed, "turn": self.turn}
        return named | {name: str(number) for name, number in numbers.items() if number is not None}

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
