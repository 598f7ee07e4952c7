"""Kinds, engines, judges and executors are found by their file's name. There is nothing to register."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from types import ModuleType

from dsl.errors import XpError
from dsl.plugins import names
from dsl.settings import EngineSettings


def kind(name: str) -> ModuleType:
    """The runner of a kind of step: a module with `run(step, inputs, out) -> Made`."""
    return _find("steps", name)


def engine(name: str) -> ModuleType:
    """An engine's module, with `Settings` and `Engine`."""
    return _find("engines", name)


def resolved(settings: EngineSettings) -> str | None:
    """What settings leave open, as it stands now (the commit behind a name on the hub); None where they say it all."""
    if settings.engine not in names("engines"):
        return None
    resolve: Callable[[EngineSettings], str | None] = getattr(engine(settings.engine), "resolve", lambda settings: None)
    return resolve(settings)


def judge(name: str) -> ModuleType:
    """A judge's module, with `Settings` and `judge(answers, settings, tools)`."""
    return _find("judges", name)


def executor(name: str) -> ModuleType:
    """An executor's module, with `run`; that of `local` is asked otherwise than those of clusters."""
    return _find("execution.executors", name)


@cache
def _find(family: str, name: str) -> ModuleType:
    package = importlib.import_module(f"runners.{family}")
    known = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_") and m.name != "contract")
    if name not in known:
        raise XpError(f"there is no runners/{family.replace('.', '/')}/{name}.py. There are: {', '.join(known)}")
    return importlib.import_module(f"runners.{family}.{name}")
