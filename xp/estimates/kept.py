"""Estimates kept with an apply, beside what its steps took."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dsl.data.records import Outcome, Record, read_record
from dsl.data.warehouse_address import warehouse_in
from dsl.errors import DataError, WarehouseError
from dsl.plan.study import Study
from dsl.values import Name, StepId, Value
from runners.store.disk_errors import unwritten
from runners.store.step_io import write_json
from runners.store.store import Store
from warehouse.rates import StepUsage, step_usage
from xp.estimates.estimating import Estimates


class StepEstimate(Value):
    """Estimate of one step, as it was when its apply began."""

    seconds: float
    tokens: int
    usd: float


class KeptEstimates(Record):
    """`.xp/estimates/<experiment>.json`: the last estimate of each step that an apply of a study began."""

    IF_LOST = "The next `xp apply` keeps another"

    experiment: Name
    machine: str
    steps: dict[StepId, StepEstimate]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, tokens and dollars of steps."""

    seconds: float = 0.0
    tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class BesideActual:
    """Estimates of a study's finished steps beside what these took, by their kind."""

    machine: str
    n_steps: int
    """Finished steps that were estimated."""
    estimated: Mapping[str, Cost]
    actual: Mapping[str, Cost]
    """Tokens and dollars are those of the warehouse; 0 where it cannot be read now."""


def keep(estimates: Estimates, experiment: Name, store: Path) -> None:
    """Keep the estimates of the steps that an apply begins.

    Raises StoreError where they cannot be written.
    """
    with Store(store).recording():
        _keep(estimates, experiment, _path(store, experiment))


def _keep(estimates: Estimates, experiment: Name, path: Path) -> None:
    before: dict[StepId, StepEstimate] = {}
    with suppress(DataError):
        before = read_record(path, KeptEstimates).steps
    new = {
        step_id: StepEstimate(seconds=one.seconds, tokens=one.n_prompt_tokens + one.n_new_tokens, usd=one.usd)
        for step_id, one in estimates.steps.items()
        if not one.n_uncounted
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(
            path,
            KeptEstimates(experiment=experiment, machine=estimates.machine.name, steps={**before, **new}),
        )
    except OSError as error:
        raise unwritten(error, path) from error


def beside_actual(study: Study, store: Path) -> BesideActual | None:
    """Return a study's estimates beside what its finished steps took; None where there are none of both."""
    try:
        kept = read_record(_path(store, study.experiment), KeptEstimates)
    except DataError:
        return None
    held = Store(store)
    outcomes: dict[StepId, Outcome] = {}
    for step_id in study.step_ids:
        if step_id in kept.steps:
            with suppress(DataError):
                outcomes[step_id] = read_record(held.step_folder(step_id) / "outcome.json", Outcome)
    if not outcomes:
        return None
    used = _usage(store)
    estimated: dict[str, Cost] = {}
    actual: dict[str, Cost] = {}
    for step_id, outcome in outcomes.items():
        kind, one = step_id.rpartition("-")[0], kept.steps[step_id]
        took = used.get(step_id, StepUsage(0, 0.0))
        made = 1.0 - outcome.n_reused / outcome.n_rows if outcome.n_rows else 1.0
        estimated[kind] = _added(estimated.get(kind), Cost(one.seconds, one.tokens, one.usd))
        actual[kind] = _added(
            actual.get(kind), Cost(outcome.seconds, round(made * took.tokens), made * took.usd)
        )
    return BesideActual(kept.machine, len(outcomes), estimated, actual)


def total(costs: Mapping[str, Cost]) -> Cost:
    """Add up the costs of all kinds."""
    found = Cost()
    for one in costs.values():
        found = _added(found, one)
    return found


def _added(one: Cost | None, other: Cost) -> Cost:
    if one is None:
        return other
    return Cost(one.seconds + other.seconds, one.tokens + other.tokens, one.usd + other.usd)


def _usage(store: Path) -> dict[StepId, StepUsage]:
    """Tokens and dollars of the store's steps; none where the warehouse cannot be read now."""
    if not warehouse_in(store).exists():
        return {}
    from warehouse.connect import connect  # duckdb

    try:
        with connect(warehouse_in(store), read_only=True, patience=0) as connection:
            return step_usage(connection)
    except WarehouseError:
        return {}


def _path(store: Path, experiment: Name) -> Path:
    return store / "estimates" / f"{experiment}.json"
