"""Checks of the resources that kinds of steps are given."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.engines._served import ServedWeights
from dsl.spec.resources import KINDS
from dsl.steps.training_steps import IN_ONE_PROCESS, IN_PROCESSES, TRAININGS

_RAYS = {"resources": "Name a `partition` whose nodes have it"}
_SLURMS = {
    "partition": "Ray takes nodes by `resources`",
    "time": "It is for `executor: slurm`",
    "account": "It is for `executor: slurm`",
}
"""Resources that one cluster alone has, and what to do with the other."""


def execution_faults(context: Context) -> Iterator[Fault]:
    """Check that `resources` names kinds of steps, shards for `generate` alone, whole GPUs, and what the
    executor can give and the step can use."""
    executor = context.experiment.executor
    for kind, asked in context.experiment.resources.items():
        path = ("resources", kind)
        yield from unknown_name(path, kind, KINDS, "kind of step")
        if kind in KINDS and kind != "generate" and asked.shard_rows is not None:
            yield Fault((*path, "shard_rows"), "only `generate` steps are split into shards", on="key")
        if asked.num_gpus is not None and asked.num_gpus > 1 and asked.num_gpus % 1:
            yield Fault((*path, "num_gpus"), f"found `{asked.num_gpus:g}`; more than one GPU are whole ones")
        elif kind in IN_ONE_PROCESS and (asked.num_gpus or 0) > 1:
            message = f"found `{asked.num_gpus:g}`; {kind} trains in one process alone, on 1"
            yield Fault((*path, "num_gpus"), message)
        elif asked.fsdp and (kind not in IN_PROCESSES or (asked.num_gpus or 0) < 2):
            message = f"shards the weights of {' and '.join(IN_PROCESSES)} over their `num_gpus`, 2 or more"
            yield Fault((*path, "fsdp"), message, on="key")
        for name, number in (("num_cpus", asked.num_cpus), ("num_gpus", asked.num_gpus)):
            if (
                executor == "slurm"
                and number is not None
                and (number % 1 or (name, number) == ("num_cpus", 0))
            ):
                least = 1 if name == "num_cpus" else 0
                message = f"found `{number:g}`; must be a whole number from {least} on with `executor: slurm`"
                yield Fault((*path, name), message)
        if asked.num_gpus:
            yield from _server_faults(context, kind, asked.num_gpus)
        others = _SLURMS if executor == "ray" else _RAYS if executor == "slurm" else {}
        for name, instead in others.items():
            if getattr(asked, name):
                yield Fault(
                    (*path, name), f"`executor: {executor}` has no such resource. {instead}", on="key"
                )


def _server_faults(context: Context, kind: str, n: float) -> Iterator[Fault]:
    """Check that several GPUs are of use to steps that train nothing, and that a cluster gives no fewer than
    a server's arguments share a model out to."""
    e = context.experiment
    models = {name: model.weights() for name, model in e.models.items() if name in context.needs.models}
    judges = {name: judge.models() for name, judge in e.judges.items()}
    asked = models if kind == "generate" else judges if kind == "judge" else {}
    needed = {
        name: model.n_gpus
        for name, settings in asked.items()
        for model in settings
        if isinstance(model, ServedWeights) and model.is_started
    }
    path = ("resources", kind, "num_gpus")
    if n > 1 and kind not in TRAININGS and not needed:
        message = f"found `{n:g}`; {kind} steps use 1, unless a server is started for them (`engine: vllm`)"
        yield Fault(path, message, "warning")
    for name, least in needed.items():
        if e.executor != "local" and least > max(1, n):  # here it sees as many as it needs
            yield Fault(path, f"found `{n:g}`; `args` share the server of `{name}` out to {least} GPUs")
