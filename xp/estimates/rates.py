"""Rates of a store: the time of its finished steps, beside that of the rule.

The rule for weights that are loaded here: a token takes 2 floating-point operations for each parameter in a
forward pass (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), and each token that a batch decodes reads
all weights from memory. Finished steps give the factor between the rule and this machine: those of the same
model and kind, else of the kind, else all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from dsl.data.warehouse_address import warehouse_in
from dsl.engines.contract import ServerSettings
from dsl.engines.openai import Settings as Served
from dsl.engines.transformers import Weights
from dsl.errors import WarehouseError
from dsl.steps.training_steps import TRAININGS
from warehouse.rates import StepCost, bytes_per_token, step_costs
from xp.estimates.machine import Machine
from xp.estimates.model_sizes import BYTES
from xp.estimates.work import TokenRates, Work, name_of

START_SECONDS = 3.0
"""Start of a process that imports torch."""

LOAD_BYTES_PER_SECOND = 1e9
"""At which weights are loaded."""

LOAD_SECONDS = 0.3
"""Overhead of a step whose model was loaded for one before."""

SECONDS_PER_STEP = 0.02
"""Seconds of a step that loads no model."""

SECONDS_PER_VERDICT = 2e-4
"""Seconds of a judge that decides by rule."""

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
    _found: dict[tuple[str, str, str], "_Rate"] = field(
        default_factory=dict[tuple[str, str, str], "_Rate"], repr=False, compare=False
    )
    """Name of a model or engine, kind of step and device -> the rate; a plan's many steps share few."""

    def seconds(self, work: Work, n_parameters: int | None, machine: Machine) -> Seconds | None:
        """Estimate the time of a step; None for a model of unknown size."""
        if isinstance(work.model, Served) and work.model.batch:
            return Seconds(0.0, 0.0, False)  # the provider's, while no process waits
        if work.model is not None and (server := work.model.server_named()) is not None:
            return self._served(work, server, work.model.engine)
        if not isinstance(work.model, Weights):
            return self._by_rule(work)
        if n_parameters is None:
            return None
        name, engine = name_of(work.model), work.model.engine
        rule = _rule_seconds(work, n_parameters, n_parameters * BYTES[work.model.dtype], machine)
        rate = self._rate(
            f"{engine} {name}",
            work.kind,
            machine.device,
            lambda: self._loaded(name, engine, work.kind, machine),
        )
        return Seconds(rule * rate.factor, rate.overhead, rate.is_measured)

    def peak(self, work: Work) -> int | None:
        """Return the most memory that a step of this model and kind took; None where none was run."""
        return None if work.model is None else self.peak_bytes.get((name_of(work.model), _group(work.kind)))

    def first_load(self, weights: Weights, n_parameters: int | None) -> float:
        """Estimate the time to start a process and load a model, once for each model."""
        if any(place[0] == name_of(weights) for place in self.peak_bytes):
            return 0.0  # part of the mean of its steps
        return START_SECONDS + (n_parameters or 0) * BYTES[weights.dtype] / LOAD_BYTES_PER_SECOND

    def _factor(self, costs: Iterable[StepCost], machine: Machine) -> float | None:
        """Return the ratio of the seconds of steps to those of the rule."""
        took = ruled = 0.0
        for cost in costs:
            n_parameters = cost.n_parameters or self.n_parameters.get(cost.model or "")
            if n_parameters is None or not cost.n_made:
                continue
            took += cost.seconds
            n_bytes = n_parameters * BYTES.get(cost.dtype, 4)
            ruled += _rule_seconds(_work_of(cost), n_parameters, n_bytes, machine)
        return took / ruled if ruled > 0 and took > 0 else None

    def _loaded(self, name: str, engine: str, kind: str, machine: Machine) -> "_Rate":
        """Rate of steps that load weights: a factor of the rule."""
        loaded = (cost for cost in self._costs if cost.engine == engine)
        # a step whose model a server loads names the GPU, and no device of torch's
        here = [cost for cost in loaded if cost.device in (machine.device, machine.name)]
        alike = [cost for cost in here if _group(cost.kind) == _group(kind)]
        same = [cost for cost in alike if cost.model == name]
        factors = (self._factor(costs, machine) for costs in (same, alike, here))
        factor = next((found for found in factors if found is not None), 1.0)
        overhead = fmean(cost.overhead_seconds for cost in same) if same else LOAD_SECONDS
        return _Rate(factor, overhead, bool(same))

    def _served(self, work: Work, server: ServerSettings, engine: str) -> Seconds:
        place = name, _, _ = name_of(server), work.kind, engine

        def measured() -> _Rate:
            # as many requests a row as there were: what a row took holds its server's concurrency
            same = [c for c in self._costs if (c.model, c.kind, c.engine) == place and c.n_made]
            n_made = sum(cost.n_made for cost in same)
            return _Rate(sum(cost.seconds for cost in same) / n_made if n_made else 0.0, 0.0, bool(same))

        rate = self._rate(f"{engine} {name}", work.kind, "", measured)
        if rate.is_measured:
            return Seconds(rate.factor * work.n_rows, 0.0, True)
        fixed, per_second = SERVED_SECONDS
        one_by_one = work.n_requests * fixed + work.new_tokens / per_second
        return Seconds(one_by_one / server.max_concurrency, 0.0, False)

    def _by_rule(self, work: Work) -> Seconds:
        """Time of a step that loads no model: data, selection, echoed or recorded answers, rule judges."""
        engine = "" if work.model is None else work.model.engine

        def measured() -> _Rate:
            same = [c for c in self._costs if (c.kind, c.engine) == (work.kind, engine)]
            n = sum(cost.n_rows for cost in same) if work.kind == "judge" else len(same)
            total = sum(cost.seconds + cost.overhead_seconds for cost in same)
            return _Rate(total / n if n else 0.0, 0.0, n > 0)

        rate = self._rate(engine, work.kind, "", measured)
        pause = float(getattr(work.model, "seconds_per_row", 0.0)) * work.n_rows
        if not rate.is_measured:
            return Seconds(SECONDS_PER_STEP + pause + work.n_rows * SECONDS_PER_VERDICT, 0.0, False)
        n = work.n_rows if work.kind == "judge" else 1
        return Seconds(max(pause, rate.factor * n), 0.0, True)

    def _rate(self, name: str, kind: str, device: str, measure: Callable[[], "_Rate"]) -> "_Rate":
        place = (name, kind, device)
        if place not in self._found:
            self._found[place] = measure()
        return self._found[place]


@dataclass(frozen=True, slots=True)
class _Rate:
    factor: float
    """Factor of the rule's seconds; or seconds of a row, or of a step."""
    overhead: float
    is_measured: bool


def rates_of(store: Path) -> Rates:
    """Read the rates of a store's warehouse; none where it cannot be read now: a plan can do without."""
    if not warehouse_in(store).exists():
        return Rates()
    from warehouse.connect import connect  # duckdb

    try:
        with connect(warehouse_in(store), read_only=True, patience=0) as connection:
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
    return "training" if kind in TRAININGS else kind


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
