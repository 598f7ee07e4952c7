"""Paths that a spec names: their placeholders, and the folders that they start from."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dsl.errors import DataError
from dsl.messages import suggest

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


def beside_or_shared(folder: Path, path: str) -> Path:
    """The folder that a spec's relative path starts from: its own, or else the one that XP_DATA names where
    that has it."""
    shared = os.environ.get(FOLDER_VARIABLE)
    return (
        Path(shared) if shared and not (folder / path).exists() and (Path(shared) / path).exists() else folder
    )
