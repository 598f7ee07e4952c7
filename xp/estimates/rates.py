"""Rates of a store: the time of its finished steps, beside that of the rule.

The rule for weights that are loaded here: a token takes 2 floating-point operations for each parameter in a
forward pass (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), and each token that a batch decodes reads
all weights from memory. Finished steps give the factor between the rule and this machine: those of the same
model and kind, else of the kind, else all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from dsl.engines.contract import ServerSettings
from dsl.engines.transformers import Weights
from dsl.errors import WarehouseError
from warehouse.connect import WAREHOUSE, connect
from warehouse.rates import StepCost, bytes_per_token, step_costs
from xp.estimates.machine import Machine
from xp.estimates.model_sizes import BYTES
from xp.estimates.work import TokenRates, Work, name_of

START_SECONDS = 3.0
"""Start of a process that imports torch."""

LOAD_BYTES_PER_SECOND = 1e9
"""At which weights are loaded."""

SECONDS_PER_STEP = 0.02
"""Of a step that loads no model."""

SECONDS_PER_VERDICT = 2e-4
"""Of a judge that decides by rule."""

SERVED_SECONDS = (0.5, 50.0)
"""Seconds of a request to a server besides its reply, and tokens of the reply a second."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Estimated time of a step."""

    seconds: float
    overhead: float
    """Time to start a process and load the model, which a worker does once for all steps of a model."""
    is_measured: bool
    """True where finished steps of the same model and kind gave the rate."""


@dataclass(frozen=True)
class Rates:
    """Rates that a store's finished steps give; without any, those of the rule."""

    tokens: TokenRates = field(default_factory=TokenRates)
    n_parameters: Mapping[str, int] = field(default_factory=dict[str, int])
    peak_bytes: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """Model and kind of step -> the most memory that such a step took."""
    _costs: tuple[StepCost, ...] = ()

    def seconds(self, work: Work, n_parameters: int | None, machine: Machine) -> Seconds | None:
        """Estimate the time of a step; None for a model of unknown size."""
        if isinstance(work.model, ServerSettings):
            return self._served(work, work.model)
        if not isinstance(work.model, Weights):
            return self._by_rule(work)
        if n_parameters is None:
            return None
        name, n_bytes = name_of(work.model), n_parameters * BYTES[work.model.dtype]
        rule = _rule_seconds(work, n_parameters, n_bytes, machine)
        here = [
            cost for cost in self._costs if cost.engine == "transformers" and cost.device == machine.device
        ]
        same = [cost for cost in here if (cost.model, _group(cost.kind)) == (name, _group(work.kind))]
        alike = [cost for cost in here if _group(cost.kind) == _group(work.kind)]
        factor = next(
            (found for costs in (same, alike, here) if (found := self._factor(costs, machine)) is not None),
            1.0,
        )
        loads = [cost.overhead_seconds for cost in same]
        overhead = fmean(loads) if loads else 0.3
        return Seconds(rule * factor, overhead, bool(same))

    def peak(self, work: Work) -> int | None:
        """Return the most memory that a step of this model and kind took; None where none was run."""
        return None if work.model is None else self.peak_bytes.get((name_of(work.model), _group(work.kind)))

    def first_load(self, weights: Weights, n_parameters: int | None) -> float:
        """Estimate the time to start a process and load a model, once for each model."""
        loaded = [
            c.overhead_seconds for c in self._costs if c.model == name_of(weights) and c.kind != "judge"
        ]
        if loaded:
            return 0.0  # in the mean of its steps
        return START_SECONDS + (n_parameters or 0) * BYTES[weights.dtype] / LOAD_BYTES_PER_SECOND

    def _factor(self, costs: Iterable[StepCost], machine: Machine) -> float | None:
        """Seconds that steps took over those of the rule."""
        took = ruled = 0.0
        for cost in costs:
            n_parameters = cost.n_parameters or self.n_parameters.get(cost.model or "")
            if n_parameters is None or not cost.n_made:
                continue
            took += cost.seconds
            n_bytes = n_parameters * BYTES.get(cost.dtype, 4)
            ruled += _rule_seconds(_work_of(cost), n_parameters, n_bytes, machine)
        return took / ruled if ruled > 0 and took > 0 else None

    def _served(self, work: Work, server: ServerSettings) -> Seconds:
        name = name_of(server)
        same = [cost for cost in self._costs if (cost.model, cost.kind) == (name, work.kind) and cost.n_made]
        if same:
            # as many requests a row as there were: what a row took holds its server's concurrency
            each = sum(cost.seconds for cost in same) / sum(cost.n_made for cost in same)
            return Seconds(each * work.n_rows, 0.0, True)
        fixed, per_second = SERVED_SECONDS
        one_by_one = work.n_requests * fixed + work.new_tokens / per_second
        return Seconds(one_by_one / server.max_concurrency, 0.0, False)

    def _by_rule(self, work: Work) -> Seconds:
        """Time of a step that loads no model: data, selection, echoed or recorded answers, rule judges."""
        engine = "" if work.model is None else work.model.engine
        same = [cost for cost in self._costs if (cost.kind, cost.engine) == (work.kind, engine)]
        pause = float(getattr(work.model, "seconds_per_row", 0.0)) * work.n_rows
        if same:
            n_rows = sum(cost.n_rows for cost in same)
            by_row = work.kind == "judge" and n_rows > 0
            total = sum(cost.seconds + cost.overhead_seconds for cost in same)
            return Seconds(
                total / n_rows * work.n_rows if by_row else max(pause, total / len(same)), 0.0, True
            )
        return Seconds(SECONDS_PER_STEP + pause + work.n_rows * SECONDS_PER_VERDICT, 0.0, False)


def rates_of(store: Path) -> Rates:
    """Read the rates of a store's warehouse; none where it cannot be read now: a plan can do without."""
    if not (store / WAREHOUSE).exists():
        return Rates()
    try:
        with connect(store / WAREHOUSE, read_only=True, patience=0) as connection:
            costs, ratios = step_costs(connection), bytes_per_token(connection)
    except WarehouseError:
        return Rates()
    return rates_from(costs, ratios)


def rates_from(costs: Iterable[StepCost], ratios: Mapping[str, float]) -> Rates:
    """Return the rates of finished steps. `ratios`: model -> bytes of a token."""
    costs = tuple(costs)
    shares: dict[tuple[str, str], list[StepCost]] = {}
    replies: dict[str, list[StepCost]] = {}
    peaks: dict[tuple[str, str], int] = {}
    for cost in costs:
        if cost.model is None:
            continue
        if cost.kind == "generate" and cost.n_rows and cost.most_new_tokens and cost.new_tokens:
            shares.setdefault((cost.model, cost.form), []).append(cost)
        if cost.kind == "judge" and cost.n_rows and cost.new_tokens:
            replies.setdefault(cost.model, []).append(cost)
        if cost.peak_memory_bytes is not None:
            place = (cost.model, _group(cost.kind))
            peaks[place] = max(peaks.get(place, 0), cost.peak_memory_bytes)
    return Rates(
        TokenRates(
            dict(ratios),
            {
                place: sum(c.new_tokens for c in found) / sum(c.n_rows * c.most_new_tokens for c in found)
                for place, found in shares.items()
            },
            {
                model: sum(c.new_tokens for c in found) / sum(c.n_rows for c in found)
                for model, found in replies.items()
            },
        ),
        {cost.model: cost.n_parameters for cost in costs if cost.model and cost.n_parameters},
        peaks,
        costs,
    )


def _group(kind: str) -> str:
    """Kinds whose steps compute alike."""
    return "training" if kind in ("sft", "dpo") else kind


def _rule_seconds(work: Work, n_parameters: int, n_bytes: float, machine: Machine) -> float:
    reads = work.most_new_tokens if work.new_tokens else 0
    computed = 2.0 * n_parameters * work.computed_tokens / machine.speed.flops
    return computed + reads * n_bytes / machine.speed.bytes_per_second


def _work_of(cost: StepCost) -> Work:
    """Work that a finished step had done itself."""
    made = cost.n_made / cost.n_rows if cost.n_rows else 0.0
    each = cost.data_tokens / cost.data_rows if cost.data_rows else 0.0
    return Work(
        cost.kind,
        n_rows=cost.n_made,
        prompt_tokens=made * cost.prompt_tokens + (cost.data_tokens if cost.kind == "reference_logps" else 0),
        shared_tokens=max(0, cost.n_made - 1) * cost.shared_tokens_of_each,
        new_tokens=made * cost.new_tokens,
        most_new_tokens=cost.most_new_tokens,
        trained_tokens=cost.train_steps * cost.rows_per_train_step * each,
        trains_all_weights=cost.trains_all_weights,
    )
