"""Judges and engines are files found by their name: `runners/judges/<name>.py` and `runners/engines/<name>.py`.

Each file declares at its top what a spec may say about it, as `class Settings`; here those classes become one discriminated union, so that
a new file is at once checked, suggested and part of the JSON Schema. Only these settings are read: the files import nothing heavy at the top.
"""

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Field

from dsl.settings import EngineSettings, JudgeSettings

Family = Literal["judges", "engines"]


@cache
def names(family: Family) -> tuple[str, ...]:
    """The names found, sorted. Files that begin with `_` are private to their neighbours."""
    package = importlib.import_module(f"runners.{family}")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))


def settings_of(family: Family, name: str) -> type[Any]:
    """The `Settings` class of one file."""
    return importlib.import_module(f"runners.{family}.{name}").Settings


def _union(family: Family, discriminator: str) -> Any:
    classes = tuple(settings_of(family, name) for name in names(family))
    return Annotated[Union[classes], Field(discriminator=discriminator)]  # noqa: UP007  (built at run time)


if TYPE_CHECKING:
    AnyJudge = JudgeSettings
    AnyEngine = EngineSettings
else:
    AnyEngine = _union("engines", "engine")
    AnyJudge = _union("judges", "judge")
