"""Execution settings: where a study's steps run, and with which resources. They change no result and no
identity."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from dsl.engines._served import ServedWeights
from dsl.engines.contract import EngineSettings
from dsl.spec.budget import Budget
from dsl.steps.steps import AnyStep, GenerateStep, JudgeStep, Step
from dsl.steps.training_steps import TuningStep
from dsl.values import Value

_STEP_CLASSES: tuple[Any, ...] = get_args(get_args(AnyStep)[0])
KINDS: tuple[str, ...] = tuple(step.model_fields["kind"].default for step in _STEP_CLASSES)
"""Every kind of step."""

Executor = Literal["local", "ray", "slurm"]
"""The name of a file in `runners/execution/executors/`."""


class Resources(Value):
    """Resources of each step of a kind on a cluster: those of both kinds of cluster under the names of
    `ray.remote`, those of Slurm alone under the names of `sbatch`. What is not named is left to the
    cluster. On this machine `fsdp` is read, and `num_gpus` of trainings and of steps that a server is started
    for."""

    HINTS: ClassVar = {
        "cpus_per_task": "Processors are `num_cpus`.",
        "gpus": "GPUs are `num_gpus`.",
        "mem": "Memory is `memory`, in bytes.",
    }

    num_cpus: float | None = Field(default=None, ge=0)
    """Processors, 1 if not said; also the number of threads that its libraries compute with. With Slurm whole
    ones."""
    num_gpus: float | None = Field(default=None, ge=0)
    """A step sees the GPUs that it is given and no others; a part of one, as 0.5, is shared, with Ray alone.
    More than one are whole. On nodes with GPUs this must be said for every kind of step that loads a
    model. A training on several has a process for each, on a cluster or on this machine; together they see
    the rows of an optimiser step that one would see. A server that is started sees them all, and no fewer
    than its arguments share the model out to (`tensor_parallel_size` …)."""
    fsdp: bool = False
    """`sft` and `dpo` on several GPUs: each holds a part of the weights, gradients and optimiser states, so
    that a larger model fits (fully sharded data parallel, FSDP2). Without it, each holds all of them."""
    memory: int | None = Field(default=None, ge=1)
    """Bytes: with Ray those that must be free on the node, with Slurm the most that the step may use."""
    resources: dict[str, Annotated[float, Field(gt=0)]] = {}
    """With Ray: resources that nodes were started with, by a name of one's own, as `{big_disk: 1}`."""
    partition: str | None = Field(default=None, pattern=r"^[\w.,\-]+$")
    """With Slurm: the partition to run in, or several, separated by commas. Without it, the cluster's default
    one."""
    time: int | None = Field(default=None, ge=1)
    """With Slurm: minutes that a job may take. A step that needs longer goes on in another job, from its rows
    and checkpoints. Without it, the partition's limit."""
    account: str | None = Field(default=None, pattern=r"^[\w.\-]+$")
    """With Slurm: the account that is charged."""
    shard_rows: int | None = Field(default=None, ge=1)
    """`generate` only: a step with more rows is split into shards of so many, which go to whichever node is
    free. Without it, 256 where the model is loaded by the step, and no shards where a server answers: the
    server has its own limit on what it does at once."""


def n_processes(step: Step, resources: Mapping[str, Resources]) -> int:
    """Return the number of processes of a step: of a training, one for each GPU that it is given."""
    given = resources.get(step.kind)
    if given is None or given.num_gpus is None or not isinstance(step, TuningStep):
        return 1
    return max(1, int(given.num_gpus))


def started(step: Step) -> tuple[ServedWeights, ...]:
    """Return the models of a step that a server is started for."""
    models: Iterable[EngineSettings] = ()
    if isinstance(step, GenerateStep):
        models = () if step.slices else (step.model,)
    elif isinstance(step, JudgeStep):
        models = (model for judge in step.judges.values() for model in judge.models())
    return tuple(model for model in models if isinstance(model, ServedWeights) and model.is_started)


def n_gpus(step: Step, resources: Mapping[str, Resources]) -> int:
    """Return the number of GPUs that a step sees on this machine: one, but for a training or a server on
    several."""
    if not (models := started(step)):
        return n_processes(step, resources)
    given = resources.get(step.kind, Resources()).num_gpus
    return max(1, int(given or 1), *(model.n_gpus for model in models))


def is_sharded(step: Step, resources: Mapping[str, Resources]) -> bool:
    """Test whether the processes of a training hold a part of its weights each."""
    return n_processes(step, resources) > 1 and resources[step.kind].fsdp


Kind = Annotated[str, Field(json_schema_extra={"enum": list(KINDS)})]


Reuse = Literal["any", "same_fingerprint"]


class Execution(Value):
    """Executor of a plan's steps, the resources of each kind of step, and the budget of all."""

    executor: Executor = "local"
    resources: dict[Kind, Resources] = {}
    reuse: Reuse = "any"
    budget: Budget | None = None

    @property
    def is_on_cluster(self) -> bool:
        """The cluster decides what runs at once, and where."""
        return self.executor != "local"
