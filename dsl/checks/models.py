"""Checks of the study's models: their files and revisions."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.engines.contract import EngineSettings
from dsl.errors import DataError


def model_faults(context: Context) -> Iterator[Fault]:
    """Check that weights can be found; warn of models that are not pinned."""
    asked = {name: model for name, model in context.experiment.models.items() if name in context.needs.models}
    for name, model in asked.items():
        for which in ("base", "instruct"):
            settings: EngineSettings | None = getattr(model, which)
            if settings is None:
                continue
            if (why := settings.unpinned()) is not None:
                yield Fault(("models", name, which), why, "warning")
            try:
                settings.pinned(context.fingerprints, context.folder)
            except DataError as error:
                yield Fault(("models", name, which), str(error))
