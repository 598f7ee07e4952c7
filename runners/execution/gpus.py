"""The machine's GPUs, found without a library that would take them."""

import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping

from dsl.errors import XpError
from dsl.spec.resources import Resources, n_gpus, started
from dsl.steps.steps import Step

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA is told which GPUs a process sees (CUDA C++ Programming Guide, environment
variables)."""


def visible() -> tuple[str, ...]:
    """Return the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them.

    Of a GPU that is cut into MIG instances, these.

    By their UUIDs where the variable is not set: CUDA and the driver may count them in another order.
    """
    if VISIBLE in os.environ:
        named = [name.strip() for name in os.environ[VISIBLE].split(",")]
        # CUDA looks no further either
        return tuple(named[: next((at for at, name in enumerate(named) if name in ("", "-1")), None)])
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):  # no such GPUs here
        return ()
    found: dict[str, list[str]] = {}
    for kind, uuid in re.findall(r"\(UUID: ((?:GPU|MIG)-)([^)]+)\)", listed):
        if kind == "GPU-":
            found[kind + uuid] = []
        else:
            found[next(reversed(found))].append(kind + uuid)
    return tuple(name for gpu, instances in found.items() for name in instances or [gpu])


def share(gpus: tuple[str, ...], taken: Iterable[Mapping[str, str]], n: int = 1) -> dict[str, str]:
    """Return the settings of one more worker: it sees the `n` GPUs that the fewest others (`taken`) see.

    Nothing where there is no choice.

    A trainer that sees several would split its batches over them, and train on larger ones than it was told.
    """
    if len(gpus) < 2:
        return {}
    used = Counter(gpu for settings in taken for gpu in settings.get(VISIBLE, "").split(","))
    return {VISIBLE: ",".join(sorted(gpus, key=lambda gpu: used[gpu])[:n])}


def lacking(steps: Iterable[Step], resources: Mapping[str, Resources], n_here: int) -> tuple[str, ...]:
    """Say what steps need of a machine's GPUs, and it has not: each reason once."""
    return tuple(dict.fromkeys(filter(None, (_lacking(step, resources, n_here) for step in steps))))


def _lacking(step: Step, resources: Mapping[str, Resources], n_here: int) -> str | None:
    if (needed := n_gpus(step, resources)) <= max(1, n_here):
        return None
    if needed == resources.get(step.kind, Resources()).num_gpus:
        asked = f"`resources.{step.kind}.num_gpus` is {needed}"
    elif n_here:
        source = started(step)[0].source
        asked = f"`args` share the server of {source} out to {needed} GPUs"
    else:  # vLLM may share it out to processors
        return None
    return (
        f"{asked}, and this machine has {n_here} that it may use (`{VISIBLE}` may name them). Give it fewer,"
        " or run the study where there are more"
    )


def unsaid(cluster: str, kind: str) -> XpError:
    """Return the error where a cluster has GPUs, and the spec does not say how many a kind of step gets that
    loads a model: given none, it would run without."""
    return XpError(
        f"the {cluster} cluster has GPUs, and the spec does not say how many a {kind} step gets. Write"
        f" `resources: {{{kind}: {{num_gpus: 1}}}}`, or 0"
    )
