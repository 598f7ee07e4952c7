"""Execution settings: where a study's steps run, and with which resources. They change no result and no
identity."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from dsl.spec.budget import Budget
from dsl.steps.steps import AnyStep, Step
from dsl.steps.training_steps import TuningStep
from dsl.values import Value

_STEP_CLASSES: tuple[Any, ...] = get_args(get_args(AnyStep)[0])
KINDS: tuple[str, ...] = tuple(step.model_fields["kind"].default for step in _STEP_CLASSES)
"""Every kind of step."""

Executor = Literal["local", "ray"]
"""The name of a file in `runners/execution/executors/`."""


class Resources(Value):
    """Resources of each step of a kind on a cluster, under the names of `ray.remote`. What is not named is
    left to Ray. On this machine `num_gpus` of trainings alone is read."""

    num_cpus: float | None = Field(None, ge=0)
    """Processors; also the number of threads that its libraries compute with."""
    num_gpus: float | None = Field(None, ge=0)
    """A step sees the GPUs that it is given and no others; a part of one, as 0.5, is shared. More than one
    are whole. On nodes with GPUs this must be said for every kind of step that loads a model. A training on
    several has a process for each, on a cluster or on this machine; together they see the rows of an
    optimiser step that one would see."""
    memory: int | None = Field(None, ge=1)
    """Bytes that must be free on the node."""
    resources: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Resources that nodes were started with, by a name of one's own, as `{big_disk: 1}`."""
    shard_rows: int | None = Field(None, ge=1)
    """`generate` only: a step with more rows is split into shards of so many, which go to whichever node is
    free. Without it, 256 where the model is loaded by the step, and no shards where a server answers: the
    server has its own limit on what it does at once."""


def n_processes(step: Step, resources: Mapping[str, Resources]) -> int:
    """Return the number of processes of a step: of a training, one for each GPU that it is given."""
    given = resources.get(step.kind)
    if given is None or given.num_gpus is None or not isinstance(step, TuningStep):
        return 1
    return max(1, int(given.num_gpus))


Kind = Annotated[str, Field(json_schema_extra={"enum": list(KINDS)})]


Reuse = Literal["any", "same_fingerprint"]


class Execution(Value):
    """Executor of a plan's steps, the resources of each kind of step, and the budget of all."""

    executor: Executor = "local"
    resources: dict[Kind, Resources] = {}
    reuse: Reuse = "any"
    budget: Budget | None = None
