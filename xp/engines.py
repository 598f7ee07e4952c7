"""Resolution of `engine: auto` on the machine that plans a study, without torch.

A GPU is one that the driver names (`nvidia-smi -L`) and `CUDA_VISIBLE_DEVICES` does not hide; on a cluster,
one that `resources` gives to the steps that ask.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, cast

from dsl.engines._auto import Auto
from dsl.errors import XpError
from dsl.messages import one_line
from dsl.spec.engines import Asker, Resolved, WhyNot
from dsl.spec.experiment import Experiment
from runners.execution.gpus import VISIBLE, visible
from runners.serving.architectures import known_architectures
from runners.serving.vllm import program
from xp.estimates.model_sizes import configuration_file


def why_not_vllm_in(folder: Path) -> WhyNot:
    """Return what says why vLLM does not serve a model, or None. `folder`: where relative paths start."""

    gpus = cache(visible)  # asked once, and only for a study that leaves an engine open

    def why_not_vllm(model: Auto, experiment: Experiment, asker: Asker) -> str | None:
        return _no_gpu(experiment, asker, gpus) or _no_vllm(model, folder)

    return why_not_vllm


def chosen_lines(engines: Iterable[Resolved]) -> tuple[str, ...]:
    """Say in lines of a plan which engine was chosen in each place, and why."""
    return tuple(
        one_line(f"asks {one.place} with `engine: {one.engine}` (auto): {one.why}") for one in engines
    )


def _no_gpu(experiment: Experiment, asker: Asker, gpus: Callable[[], tuple[str, ...]]) -> str | None:
    if experiment.executor == "local":
        return None if gpus() else f"no GPU is here (nvidia-smi, {VISIBLE})"
    given = experiment.resources.get(asker)
    if given is None or not given.num_gpus:
        return f"`resources` gives `{asker}` steps no GPU (`num_gpus`)"
    return None


def _no_vllm(model: Auto, folder: Path) -> str | None:
    try:
        words = program()
    except XpError as error:
        return str(error)
    known, named = known_architectures(words), _architectures(model, folder)
    if known and named and known.isdisjoint(named):
        return f"vLLM does not know the architecture {', '.join(named)}"
    return None


def _architectures(model: Auto, folder: Path) -> tuple[str, ...]:
    """Return the architectures that a model's configuration names; none where it is not on this machine."""
    path = None if model.path is None else str(folder / model.path)
    file = configuration_file(path, model.hub, model.revision)
    try:
        found: object = {} if file is None else json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return ()
    named = cast("dict[str, Any]", found).get("architectures") if isinstance(found, dict) else None
    return tuple(one for one in cast("list[object]", named) if isinstance(one, str)) if named else ()
