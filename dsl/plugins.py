"""Judges and engines are files found by their name: `runners/judges/<name>.py` and `runners/engines/<name>.py`.

Each file declares at its top what a spec may say about it, as `class Settings`; `dsl.engines` and `dsl.judges` make those classes one
discriminated union each, so that a new file is at once checked, suggested and part of the JSON Schema. Only these settings are read:
the files import nothing heavy at the top.
"""

import importlib
import pkgutil
from functools import cache
from typing import Annotated, Any, Literal, Union

from pydantic import Field

Family = Literal["judges", "engines"]
"""Those that declare settings."""


@cache
def names(family: Family | Literal["executors"]) -> tuple[str, ...]:
    """The names found, sorted. Files that begin with `_` are private to their neighbours."""
    package = importlib.import_module({"executors": "runners.execution.executors"}.get(family, f"runners.{family}"))
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_") and m.name != "contract"))


def settings_of(family: Family, name: str) -> type[Any]:
    """The `Settings` class of one file."""
    return importlib.import_module(f"runners.{family}.{name}").Settings


def union(family: Family, discriminator: str) -> Any:
    """The `Settings` of a family as one type, told apart by the field that holds the file's name."""
    classes = tuple(settings_of(family, name) for name in names(family))
    return Annotated[Union[classes], Field(discriminator=discriminator)]  # noqa: UP007  (built at run time)
