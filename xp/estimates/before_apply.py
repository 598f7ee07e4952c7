"""Estimates as an apply begins: they are kept, and a model that cannot be loaded is refused."""

from pathlib import Path

from dsl.errors import ArgumentError
from dsl.messages import one_line
from dsl.plan.diff import Diff
from runners.execution.events import Event
from xp.attempts import Watch
from xp.estimates.estimating import Estimates
from xp.estimates.kept import keep
from xp.render.labels import labels_of
from xp.render.words import counted


def keeping(estimates: Estimates, diff: Diff, store: Path, watch: Watch) -> Watch:
    """Return a watch that keeps the estimates at the first event, when the apply has the store's lock."""
    has_kept = False

    def watching(event: Event) -> None:
        nonlocal has_kept
        if not has_kept:
            has_kept = True
            keep(estimates, diff.plan.study.experiment, store)
        watch(event)

    return watching


def refuse_too_large(diff: Diff, estimates: Estimates) -> None:
    """Refuse steps whose weights alone need more memory than this machine has; on a cluster, none.

    Raises ArgumentError.
    """
    here = estimates.machine
    too_large = {
        step_id: needed.weights
        for step_id, needed in estimates.memory.items()
        if needed.weights > here.memory_bytes
    }
    if not too_large or diff.plan.execution.is_on_cluster:
        return
    step_id, n_bytes = next(iter(too_large.items()))
    more = f", and those of {counted(len(too_large) - 1, 'more step')}" if len(too_large) > 1 else ""
    raise ArgumentError(
        f"the weights of {one_line(labels_of(diff).get(step_id, step_id))} ({step_id}) need"
        f" {n_bytes / 1e9:.1f} GB{more}; {here.name} have {here.memory_bytes / 1e9:.1f} GB of memory. Use"
        " `dtype: bfloat16`, a smaller model or a larger machine; where the size is a mistake, state the"
        " model's `parameters`"
    )
