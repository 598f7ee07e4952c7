"""Checks of the resources that kinds of steps are given."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.spec.resources import KINDS


def execution_faults(context: Context) -> Iterator[Fault]:
    """Check that `resources` names kinds of steps, shards for `generate` alone, and whole GPUs."""
    for kind, asked in context.experiment.resources.items():
        path = ("resources", kind)
        yield from unknown_name(path, kind, KINDS, "kind of step")
        if kind in KINDS and kind != "generate" and asked.shard_rows is not None:
            yield Fault((*path, "shard_rows"), "only `generate` steps are split into shards", on="key")
        if asked.num_gpus is not None and asked.num_gpus > 1 and asked.num_gpus % 1:
            yield Fault((*path, "num_gpus"), f"found `{asked.num_gpus:g}`; more than one GPU are whole ones")
