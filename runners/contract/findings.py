"""Findings of the prompt contract, and the file that keeps them."""

import contextlib
import functools
import importlib.metadata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dsl.data.code_fingerprint import fingerprint
from dsl.data.written_files import written_aside
from dsl.engines.transformers import Weights
from dsl.messages import listed
from dsl.steps.identity import Canonical, digest
from dsl.steps.steps import GenerateStep, Step
from dsl.steps.training_steps import TuningStep
from dsl.values import Sha256, StepId, Value

CODE = ("runners.contract.generation", "runners.contract.training")
"""Modules that make findings."""


class Finding(Value):
    """A breach of the contract."""

    level: Literal["error", "warning"]
    """An error stops an apply: the step could not give a result that means anything."""
    message: str
    is_of_machine: bool = False
    """It says nothing of the step, and is not kept: another machine, or this one later, may find none."""


Findings = Mapping[Sha256, tuple[Finding, ...]]
"""Key of a step -> what was found; a step that was never checked is not there."""

_FILE: TypeAdapter[dict[Sha256, tuple[Finding, ...]]] = TypeAdapter(dict[Sha256, tuple[Finding, ...]])


def keys_of(steps: Mapping[StepId, Step]) -> dict[StepId, Sha256]:
    """Return the key of each step that the contract is about: a digest of all that its findings hang on.

    Steps that differ in other settings alone, as in a learning rate, share a key.
    """
    canonical = Canonical()
    return {
        step_id: digest((made_by(CODE), canonical.text(parts)))
        for step_id, step in steps.items()
        if (parts := _parts(step)) is not None
    }


@functools.cache
def made_by(code: tuple[str, ...]) -> Sha256:
    """Return a digest of the modules, and of the libraries, that make findings."""
    versions = (importlib.metadata.version(name) for name in ("transformers", "tokenizers"))
    return digest((*versions, fingerprint(*code)))


def _parts(step: Step) -> tuple[object, ...] | None:
    if isinstance(step, GenerateStep):
        if not isinstance(step.model, Weights) or step.prompt is None or step.after or step.slices:
            return None
        return step.model, step.examples, step.prompt, step.decoding.max_new_tokens, step.seed
    if isinstance(step, TuningStep):
        training = (step.training.max_length, step.training.assistant_only_loss)
        return (
            step.kind,
            step.weights,
            step.data,
            step.prompts,
            step.rows,
            step.seed,
            step.validation,
            training,
        )
    return None


def read_findings(cache: Path) -> Findings:
    """Return what a store keeps; nothing where that cannot be read."""
    try:
        return _FILE.validate_json((cache / "prompts.json").read_bytes())
    except (OSError, ValidationError):
        return {}


def known_findings(steps: Mapping[StepId, Step], cache: Path) -> dict[StepId, tuple[Finding, ...]]:
    """Return what was found of steps before, without loading anything."""
    known = read_findings(cache)
    return {i: known[key] for i, key in keys_of(steps).items() if key in known} if known else {}


def keep_findings(cache: Path, found: Findings) -> None:
    """Add findings to what a store keeps, aside and then moved; on a full disk they are lost."""
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        lasting = {key: one for key, one in found.items() if not any(each.is_of_machine for each in one)}
        with written_aside(cache / "prompts.json", is_of_many=True) as aside:
            aside.write_bytes(_FILE.dump_json({**read_findings(cache), **lasting}))


def among(items: Iterable[str], n: int, of: str, message: str) -> Finding:
    """A finding on some of `n` rows or prompts, the first of them named. More than half are an error: such a
    step gives no result."""
    named = list(items)
    level = "error" if 2 * len(named) > n else "warning"
    return Finding(level=level, message=f"{len(named)} of {n} {of} {message}: {listed(named, most=3)}")
