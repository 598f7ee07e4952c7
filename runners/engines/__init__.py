"""Engines: a file here for each in `dsl/engines/`, with `class Engine` (see `contract`)."""

from collections.abc import Callable
from types import ModuleType

from dsl.engines.contract import EngineSettings
from dsl.plugins import find, names


def find_engine(name: str) -> ModuleType:
    """Return the engine's module. Raises XpError where there is none."""
    return find("runners.engines", name)


def resolved(settings: EngineSettings) -> str | None:
    """Return what settings leave open, as of now (the commit of a name on the hub); None if nothing."""
    if settings.engine not in names("runners.engines"):
        return None
    resolve: Callable[[EngineSettings], str | None] = getattr(
        find_engine(settings.engine), "resolve", lambda settings: None
    )
    return resolve(settings)
