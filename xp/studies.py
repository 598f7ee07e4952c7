"""From what a person names (a spec, a store) to values: plans, differences, a store's state."""

from dataclasses import dataclass
from pathlib import Path

from dsl.compile import compile
from dsl.errors import ArgumentError, WarehouseError
from dsl.load import Loaded, experiment_name, load
from dsl.pins import Pins
from dsl.plan import Diff, Plan, Study, diff
from dsl.records import Run
from dsl.values import StepId
from runners.reuse import made_by_other_code
from runners.store import Store


def load_spec(spec: Path, overrides: list[str] | None, store: Path) -> Loaded:
    """Read and check a spec. Raises SpecError."""
    return load(spec, tuple(overrides or ()), _pins(store))


def diff_for(spec: Path, overrides: list[str] | None, targets: list[str] | None, store: Path) -> Diff:
    """What a spec asks for beside what a store holds.

    Raises:
        SpecError: the spec is not right.
        ArgumentError: a target names no step.
    """
    pins = _pins(store)
    loaded = load(spec, tuple(overrides or ()), pins)
    plan = compile(loaded.experiment, pins, loaded.origin)
    if store.is_dir():
        pins.save()
    held = done_of(plan, Store(store))
    found = diff(plan, held, targets or (), warnings=tuple(str(w) for w in loaded.warnings))
    if targets and not found.wanted:
        raise ArgumentError(f"no step is named by --target {' '.join(targets)}. `xp plan {spec} --json` lists the steps")
    return found


def done_of(plan: Plan, store: Store) -> frozenset[StepId]:
    """The finished steps of a store that a plan takes as they are."""
    done = store.done()
    if plan.execution.reuse == "same_fingerprint":
        done -= made_by_other_code(store, plan.steps, done)
    return done


def warehouse_of(store: Path) -> Path:
    """The store's warehouse. Raises WarehouseError where there is none yet."""
    path = store / "warehouse.duckdb"
    if not path.exists():
        raise WarehouseError(
            f"there is no warehouse in {store} yet. `xp apply SPEC` makes one; `xp rebuild` makes it again from a store's files"
        )
    return path


def experiment_of(study: str) -> str:
    """The experiment's name: as given, or as the spec file says. Raises SpecError."""
    if not study.endswith((".yaml", ".yml")):
        return study
    return experiment_name(Path(study))


@dataclass(frozen=True)
class StudyStatus:
    """One study of a store."""

    study: Study
    n_done: int
    failed: tuple[Run, ...]
    """The last attempt of each of its steps that failed last time and has no result."""


@dataclass(frozen=True)
class Status:
    """A store."""

    store: Path
    holder: str | None
    """Who is applying to it now."""
    studies: tuple[StudyStatus, ...]


def status_of(store: Path) -> Status:
    """What a store holds. A store that is not there holds nothing."""
    held = Store(store)
    done = held.done()
    last: dict[str, Run] = {}
    for file in sorted((store / "runs").glob("*.json")):
        run = Run.model_validate_json(file.read_bytes())
        if run.step_id not in last or run.started_at >= last[run.step_id].started_at:
            last[run.step_id] = run
    found: list[StudyStatus] = []
    for file in sorted((store / "experiments").glob("*.json")):
        study = Study.model_validate_json(file.read_bytes())
        failed = tuple(last[s] for s in study.step_ids if s in last and s not in done and last[s].status == "failed")
        found.append(StudyStatus(study, sum(s in done for s in study.step_ids), failed))
    return Status(store, held.holder(), tuple(found))


def _pins(store: Path) -> Pins:
    return Pins(store / "cache" / "digests.json")
