"""Checks of a study's budget."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.engines.contract import EngineSettings, ServerSettings
from dsl.messages import Path


def budget_faults(context: Context) -> Iterator[Fault]:
    """Check that every served model has a price where the budget is in money."""
    budget = context.experiment.budget
    if budget is None or budget.usd is None:
        return
    for path, model in _models(context):
        if isinstance(model, ServerSettings) and model.price() is None:
            new = "usd_per_million_new_tokens"
            names = ["usd_per_million_prompt_tokens", *([new] if new in type(model).model_fields else [])]
            yield Fault(
                path,
                f"`budget.usd` is a limit on what {model.name} costs, which has no price. Name"
                f" {' and '.join(f'`{name}`' for name in names)}; 0 where it costs nothing",
            )


def _models(context: Context) -> Iterator[tuple[Path, EngineSettings]]:
    experiment = context.experiment
    for name, model in experiment.models.items():
        for which in ("base", "instruct"):
            if name in context.needs.models and (settings := getattr(model, which)) is not None:
                yield ("models", name, which), settings
    for name, judge in experiment.judges.items():
        yield from ((("judges", name), settings) for settings in judge.models())
