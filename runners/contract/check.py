"""Checks of the steps of a plan, model by model, so that each tokenizer is loaded once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.messages import one_line
from dsl.steps.identity import Canonical
from dsl.steps.steps import GenerateStep, Step
from dsl.steps.training_steps import TuningStep
from dsl.values import Sha256, StepId
from runners.contract.data_folders import DataFolders
from runners.contract.findings import Finding, keys_of
from runners.contract.generation import generation_findings
from runners.contract.rendering import Rendering, difference
from runners.contract.training import training_findings
from runners.models.loading import Loaded, load_without_weights
from runners.models.weight_files import NotHere
from runners.store.step_io import StepContext
from runners.store.store import Store


def check(
    steps: Mapping[StepId, Step], wanted: Iterable[StepId], store: Store, scratch: Path
) -> dict[Sha256, tuple[Finding, ...]]:
    """Check steps, by their keys; those whose rows or tokenizers are not on this machine yet are left out.
    A step that cannot be checked for another reason is a warning, and the others are checked.

    `steps` are all of the plan; rows of data steps that the store does not have are read into `scratch`.
    """
    keys, found = keys_of(steps), dict[Sha256, tuple[Finding, ...]]()
    folders = DataFolders(steps, store, scratch)
    by_model: dict[str, list[StepId]] = {}
    for step_id in wanted:
        by_model.setdefault(Canonical().text(_weights(steps[step_id])), []).append(step_id)
    for step_ids in by_model.values():
        loaded: Loaded | Exception | None = None
        for step_id in step_ids:
            if keys[step_id] in found or (context := folders.context(steps[step_id])) is None:
                continue
            loaded = loaded or _loaded(_weights(steps[step_id]), store.cache)
            if isinstance(loaded, OSError | NotHere):
                break
            findings = partial(_findings, steps[step_id], context, loaded)
            found[keys[step_id]] = tuple(_guarded(findings))
    return found


def compare(renderings: Iterable[Rendering], cache: Path) -> dict[Sha256, tuple[Finding, ...]]:
    """Compare prompts as servers read them with the same prompts here, by their keys; those whose tokenizers
    cannot be loaded now are left out."""
    found = dict[Sha256, tuple[Finding, ...]]()
    for one in renderings:
        if not isinstance(loaded := _loaded(one.weights, cache), Exception):
            found[one.key] = tuple(_guarded(partial(difference, one, loaded.tokenizer)))
    return found


def _findings(step: Step, context: StepContext, loaded: Loaded | Exception) -> Iterable[Finding]:
    if isinstance(loaded, Exception):
        raise loaded
    if isinstance(step, GenerateStep):
        return generation_findings(step, context, loaded)
    return training_findings(step, context, loaded) if isinstance(step, TuningStep) else ()


def _guarded(findings: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield findings, the last one the reason where there can be no more."""
    try:
        yield from findings()
    except DataError as error:
        yield Finding(level="error", message=str(error))
    except Exception as error:  # whatever a library raises says nothing of the prompts
        message = f"could not be checked: {type(error).__name__}: {one_line(str(error))}"
        yield Finding(level="warning", message=message, is_of_machine=True)


def _weights(step: Step) -> Weights:
    weights = step.model if isinstance(step, GenerateStep) else getattr(step, "weights", None)
    assert isinstance(weights, Weights)
    return weights


def _loaded(weights: Weights, cache: Path) -> Loaded | Exception:
    """The model, or why there is none: NotHere, or an OSError where the hub cannot be asked now."""
    try:
        return load_without_weights(weights, cache)
    except Exception as error:
        return error
