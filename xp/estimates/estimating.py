"""Estimates of a plan's steps: tokens, time, memory, money."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

from dsl.engines.contract import ServerSettings
from dsl.engines.transformers import Weights
from dsl.plan.diff import Diff
from dsl.values import StepId
from xp.estimates.counting import WorkCounter
from xp.estimates.machine import Machine, machine
from xp.estimates.memory import Memory, needed_bytes
from xp.estimates.model_sizes import ModelSize, model_size
from xp.estimates.rates import Rates, rates_of
from xp.estimates.work import Work, name_of
from xp.plan.asked import Asked
from xp.plan.rows import Rows


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cost of a step, or of several together."""

    n_steps: int = 1
    n_rows: int = 0
    n_requests: int = 0
    """Prompts that models are handed."""
    n_prompt_tokens: int = 0
    n_new_tokens: int = 0
    n_train_steps: int = 0
    seconds: float = 0.0
    """Seconds of one process: several at once take as much together."""
    gpu_seconds: float = 0.0
    device_seconds: float = 0.0
    """Seconds of steps that load a model: of a GPU, or of the machine where it has none."""
    n_served_tokens: int = 0
    """Tokens of both kinds that are not computed here but by a server."""
    peak_memory_bytes: int = 0
    """Bytes of the step that needs the most."""
    usd: float = 0.0
    """Price of served models, where it is known."""
    n_measured: int = 0
    """Steps whose rate was measured here on the same model and kind; the rule gave the others'."""
    n_uncounted: int = 0
    """Steps that are missing in these figures: their rows are not on this machine yet, or the size of their
    model is unknown."""
    n_unpriced: int = 0
    """Steps that ask a served model whose price is unknown."""


@dataclass(frozen=True)
class Estimates:
    """Estimates of the steps to run."""

    machine: Machine
    steps: Mapping[StepId, Estimate]
    memory: Mapping[StepId, Memory]
    """Step that loads weights -> the memory that it needs."""

    def too_large(self) -> dict[StepId, Memory]:
        """Return the steps that need more memory than the machine has."""
        return {
            step_id: needed
            for step_id, needed in self.memory.items()
            if needed.least > self.machine.memory_bytes
        }

    def as_json(self) -> dict[str, object]:
        """Return the estimate of all steps together, the machine, and the steps that do not fit into it."""
        return {
            **asdict(self.total()),
            "machine": self.machine.name,
            "memory_bytes": self.machine.memory_bytes,
            "too_large": list(self.too_large()),
        }

    def total(self, step_ids: Iterable[StepId] | None = None) -> Estimate:
        """Add up the estimates of these steps, or of all; those that are not to run count nothing."""
        wanted = self.steps if step_ids is None else dict.fromkeys(step_ids)
        return added(self.steps[step_id] for step_id in wanted if step_id in self.steps)


def added(estimates: Iterable[Estimate]) -> Estimate:
    """Add up estimates; memory is that of the largest."""
    found = tuple(estimates)
    columns = zip(*map(_SUMMED_OF, found), strict=True)  # none without an estimate
    sums: dict[str, Any] = dict.fromkeys(_SUMMED, 0)
    sums |= {name: sum(column) for name, column in zip(_SUMMED, columns, strict=False)}
    return Estimate(**sums, peak_memory_bytes=max((one.peak_memory_bytes for one in found), default=0))


_SUMMED = tuple(name for name in Estimate.__dataclass_fields__ if name != "peak_memory_bytes")
_SUMMED_OF = attrgetter(*_SUMMED)


def estimates_of(
    asked: Asked,
    rows: Mapping[StepId, Rows],
    step_ids: Iterable[StepId] | None = None,
    rates: Rates | None = None,
) -> Estimates:
    """Estimate the cost of steps of a plan.

    Args:
        asked: The plan beside its store.
        rows: Step -> its rows, of which those to make count.
        step_ids: The steps; by default those to run.
        rates: By default those of the store's warehouse.
    """
    diff, store = asked.diff, asked.store
    step_ids = tuple(diff.todo if step_ids is None else step_ids)
    if rates is None:
        rates = rates_of(store) if step_ids else Rates()
    here = machine(store / "cache" if (store / "cache").is_dir() else None)
    counter = WorkCounter(asked, rates.tokens)
    stated = {**_stated_sizes(diff), **rates.n_parameters}
    sizes: dict[str, ModelSize | None] = {}
    loaded: set[str] = set()
    alike: dict[tuple[int, float], tuple[Estimate, ModelSize | None, Memory | None]] = {}
    """Work, which equal steps share, and the part of its rows that is made."""
    found: dict[StepId, Estimate] = {}
    memory: dict[StepId, Memory] = {}
    for step_id in step_ids:
        work = counter.work(step_id)
        if work is None:
            found[step_id] = Estimate(n_uncounted=1)
            continue
        share = rows[step_id].share_made if step_id in rows else 1.0
        if (id(work), share) not in alike:
            size = None
            if isinstance(work.model, Weights):
                name = name_of(work.model)
                if name not in sizes:
                    sizes[name] = model_size(work.model, stated)
                size = sizes[name]
            one, needed = _estimate(work.part(share), size, rates, here)
            alike[id(work), share] = one, size, needed
        one, size, needed = alike[id(work), share]
        if isinstance(work.model, Weights) and size is not None and needed is not None:
            memory[step_id] = needed
            if work.model.affinity() not in loaded:
                loaded.add(work.model.affinity())
                first = rates.first_load(work.model, size.n_parameters)
                one = added([one, Estimate(0, seconds=first, device_seconds=first)])
        found[step_id] = one
    return Estimates(here, found, memory)


def _estimate(
    work: Work, size: ModelSize | None, rates: Rates, here: Machine
) -> tuple[Estimate, Memory | None]:
    """Return a step's estimate, and the memory that it needs where it loads weights of known size."""
    took = rates.seconds(work, None if size is None else size.n_parameters, here)
    usd, n_unpriced = 0.0, 0
    if isinstance(work.model, ServerSettings):
        price = work.model.price()
        if price is None:
            n_unpriced = 1
        else:
            usd = price.usd(work.prompt_tokens, work.new_tokens)
    seconds = 0.0 if took is None else took.seconds + took.overhead
    is_served = work.model is not None and work.model.server_named() is not None
    is_loaded = isinstance(work.model, Weights) and not is_served
    needed = needed_bytes(work, size, here) if is_loaded and size is not None else None
    peak = 0 if needed is None else max(needed.total, rates.peak(work) or 0)
    n_tokens = round(work.prompt_tokens) + round(work.new_tokens)
    estimate = Estimate(
        n_rows=work.n_rows,
        n_requests=work.n_requests,
        n_prompt_tokens=round(work.prompt_tokens),
        n_new_tokens=round(work.new_tokens),
        n_train_steps=work.train_steps,
        seconds=seconds,
        gpu_seconds=seconds if is_loaded and here.device == "cuda" else 0.0,
        device_seconds=seconds if is_loaded else 0.0,
        n_served_tokens=n_tokens if is_served else 0,
        peak_memory_bytes=peak,
        usd=usd,
        n_measured=int(took is not None and took.is_measured),
        n_uncounted=int(took is None),
        n_unpriced=n_unpriced,
    )
    return estimate, needed


def _stated_sizes(diff: Diff) -> dict[str, int]:
    """Name of weights -> parameters, as the spec states them of a model."""
    return {
        name_of(weights): model.parameters
        for model in diff.plan.experiment.models.values()
        if model.parameters is not None
        for weights in (model.base, model.instruct)
        if isinstance(weights, Weights)
    }
