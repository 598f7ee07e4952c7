"""Engines of a study that its spec leaves open (`engine: auto`), resolved by the machine that plans it."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from dsl.engines._auto import Auto
from dsl.engines.transformers import Weights
from dsl.spec.experiment import Experiment
from dsl.values import Value

Asker = Literal["generate", "judge"]
"""Kind of step that asks a model."""
WhyNot = Callable[[Auto, Experiment, Asker], str | None]
"""Says why vLLM does not serve a model of a study to steps of a kind, or None where it does."""


class Resolved(Value):
    """An engine that a spec leaves open, and why it is this one."""

    place: str
    """`models.NAME.base`, `models.NAME.instruct` or `judges.NAME.model`."""
    engine: Literal["transformers", "vllm"]
    why: str


def not_looked_at(model: Auto, experiment: Experiment, asker: Asker) -> str | None:
    """Say that nothing is known of the machine, so that `transformers` is taken."""
    return "the machine was not looked at"


def resolved(experiment: Experiment, why_not_vllm: WhyNot) -> tuple[Experiment, tuple[Resolved, ...]]:
    """Return an experiment with an engine in each place that leaves it open, and how these were chosen."""
    found = dict[str, tuple[Weights, Resolved]]()
    for place, model in _open(experiment):
        asker: Asker = "judge" if place.startswith("judges.") else "generate"
        why = _refused(experiment, asker) or why_not_vllm(model, experiment, asker)
        engine: Literal["transformers", "vllm"] = "vllm" if why is None else "transformers"
        one = Resolved(place=place, engine=engine, why=why or "a GPU and vLLM are here")
        found[place] = model.resolved(engine), one

    def of(place: str, value: Any, *names: str) -> Any:
        changed = {name: found[f"{place}.{name}"][0] for name in names if f"{place}.{name}" in found}
        return cast("Value", value).model_copy(update=changed) if changed else value

    models = {
        name: of(f"models.{name}", model, "base", "instruct") for name, model in experiment.models.items()
    }
    judges = {name: of(f"judges.{name}", judge, "model") for name, judge in experiment.judges.items()}
    here = experiment.model_copy(update={"models": models, "judges": judges}) if found else experiment
    return here, tuple(one for _, one in found.values())


def _open(experiment: Experiment) -> Iterator[tuple[str, Auto]]:
    """Yield the places that leave the engine open, with their settings."""
    for name, model in experiment.models.items():
        for which, settings in (("base", model.base), ("instruct", model.instruct)):
            if isinstance(settings, Auto):
                yield f"models.{name}.{which}", settings
    for name, judge in experiment.judges.items():
        settings = getattr(judge, "model", None)
        if isinstance(settings, Auto):
            yield f"judges.{name}.model", settings


def _refused(experiment: Experiment, asker: Asker) -> str | None:
    """Say why vLLM cannot be asked as a study asks its models, or None. Judges have a decoding of their
    own."""
    decoding = experiment.decoding
    if asker == "generate" and decoding.repetition_penalty != 1 and not decoding.penalize_prompt:
        return "vLLM has no `penalize_prompt: false`"
    return None
