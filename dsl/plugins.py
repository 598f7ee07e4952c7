"""Judges, engines, executors and kinds of steps are found by their file's name. There is nothing to register.

What a spec may say of a judge or an engine stands in `dsl/<family>/<name>.py`, as `class Settings`;
`dsl.engines` and `dsl.judges` make those classes one discriminated union each, so that a new file is at once
checked, suggested and part of the JSON Schema.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Annotated, Any, Literal, Union

from pydantic import Field

from dsl.errors import XpError

Family = Literal["judges", "engines"]


@cache
def names(package: str) -> tuple[str, ...]:
    """The names found in a package, sorted. Files that begin with `_` are private to their neighbours, and
    `contract` says what all share."""
    path = importlib.import_module(package).__path__
    return tuple(
        sorted(
            m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_") and m.name != "contract"
        )
    )


def find(package: str, name: str) -> ModuleType:
    """The module of that name in a package.

    Raises:
        XpError: there is none.
    """
    if name not in names(package):
        raise XpError(
            f"there is no {package.replace('.', '/')}/{name}.py. There are: {', '.join(names(package))}"
        )
    return importlib.import_module(f"{package}.{name}")


def settings_of(family: Family, name: str) -> type[Any]:
    """The `Settings` class of one judge or engine."""
    return find(f"dsl.{family}", name).Settings


def union(family: Family, discriminator: str) -> Any:
    """The `Settings` of a family as one type, discriminated by the field that holds the file's name."""
    classes = tuple(settings_of(family, name) for name in names(f"dsl.{family}"))
    return Annotated[Union[classes], Field(discriminator=discriminator)]  # noqa: UP007  (built at run time)
