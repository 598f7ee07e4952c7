"""Steps of a plan that would fail after others were paid for: for want of GPUs, by batches that processes
cannot share, or on a server that runs already and takes no such model."""

from collections.abc import Iterable, Iterator
from functools import cache

from dsl.engines._served import ServedWeights
from dsl.errors import XpError
from dsl.plan.study import Plan
from dsl.spec.resources import Resources, n_processes
from dsl.steps.steps import GenerateStep, Step
from dsl.steps.training_steps import SelectStep, TuningStep
from dsl.values import StepId
from runners.execution.gpus import lacking, visible
from runners.execution.shared_training import share_of
from runners.models.quantized import check_quantizable_with
from xp.reach import models


def not_ready(plan: Plan, reachable: Iterable[StepId]) -> Iterator[str]:
    """Lines on what a plan's steps lack that may run, each once."""
    steps = [plan.steps[step_id] for step_id in reachable]
    found = (*_gpus(plan, steps), *_trainings(plan, steps), *_adapters(plan, steps))
    yield from (f"not ready: {why}" for why in dict.fromkeys(found))


def _gpus(plan: Plan, steps: list[Step]) -> tuple[str, ...]:
    """Say which GPUs this machine lacks; it is asked for them only where several are needed."""
    resources = plan.execution.resources
    several = any((given.num_gpus or 0) > 1 for given in resources.values())
    several |= any(isinstance(one, ServedWeights) and one.n_gpus > 1 for one in models(steps))
    if plan.execution.is_on_cluster or not several:
        return ()
    return lacking(steps, resources, len(visible()))


def _trainings(plan: Plan, steps: list[Step]) -> Iterator[str]:
    """Say which trainings have no GPU for weights in 4 bits, or cannot be shared out to their processes."""
    execution, here = plan.execution, cache(visible)
    for step in steps:
        if not isinstance(step, TuningStep):
            continue
        given = execution.resources.get(step.kind, Resources())
        try:
            if step.adapter is not None and step.adapter.quantization is not None:
                has_gpu = bool(given.num_gpus) if execution.is_on_cluster else bool(here())
                check_quantizable_with(has_gpu=has_gpu)
            share_of(step, n_processes(step, execution.resources), fsdp=given.fsdp)
        except XpError as error:
            yield str(error)


def _adapters(plan: Plan, steps: list[Step]) -> Iterator[str]:
    """Say which tuned models a server that runs already cannot load."""
    for step in steps:
        if not isinstance(step, GenerateStep) or step.tuned is None or step.slices:
            continue
        model = step.model
        if not isinstance(model, ServedWeights) or model.is_started:
            continue
        for trained in _trained(plan, step.tuned):
            if (why := _is_more(trained)) is not None:
                yield (
                    f"the server of {model.source} at `base_url` loads plain LoRA adapters alone, and a"
                    f" {trained.kind} step gives {why}. Leave `base_url` out, and one is started for it"
                )


def _trained(plan: Plan, tuned: StepId) -> Iterator[TuningStep]:
    """Yield the training of a tuned model, or those that one is chosen from."""
    step = plan.steps[tuned]
    found = step.trials.values() if isinstance(step, SelectStep) else (tuned,)
    yield from (one for one in map(plan.steps.__getitem__, found) if isinstance(one, TuningStep))


def _is_more(step: TuningStep) -> str | None:
    """Say how a trained model is more than one plain LoRA adapter, as `plain_adapter` finds it in files."""
    adapter = step.adapter
    if adapter is None:
        return "all weights"
    if getattr(step, "policy", None) is not None:
        return "an adapter on a trained model"
    if adapter.use_dora:
        return "DoRA"
    if adapter.modules_to_save:
        return "modules that are saved as a whole"
    targets = adapter.target_modules if isinstance(adapter.target_modules, tuple) else ()
    if any(part in name for name in targets for part in ("embed", "lm_head")):
        return "an adapter of the embedding or the head"
    return None
