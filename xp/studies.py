"""From what a person names (a spec, a store) to values: plans, differences, a store's state."""

import contextlib
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dsl.checks.load import experiment_name, load
from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Outcome, Record, Run, read_record
from dsl.data.warehouse_address import warehouse_in
from dsl.errors import ArgumentError, DataError, Problem, SpecError, WarehouseError
from dsl.plan.compile import compile
from dsl.plan.diff import Diff, diff
from dsl.plan.study import Plan, Study
from dsl.spec.budget import Use
from dsl.values import StepId
from runners.store.digests import Checks
from runners.store.same_fingerprint import made_by_other_code
from runners.store.store import Store
from xp.engines import chosen_lines, why_not_vllm_in
from xp.lock import model_folders, moved, rests_on, warnings_of
from xp.not_ready import not_ready
from xp.prompts import known_lines
from xp.reach import reach
from xp.render.labels import model_of
from xp.render.looks import looks_in_lines

if TYPE_CHECKING:
    from xp.estimates.kept import BesideActual

_Record = TypeVar("_Record", bound=Record)


def diff_for(
    spec: Path,
    overrides: list[str] | None,
    targets: list[str] | None,
    store: Path,
    *,
    identify: bool = False,
) -> Diff:
    """Compare a spec's plan with what a store holds.

    `identify` has a sample of the rows checked for the language that they are read for, where something is to
    run: it takes longer than the plan.

    Raises:
        SpecError: the spec is invalid.
        ArgumentError: a target names no step.
    """
    fingerprints = _fingerprints(store)
    loaded = load(spec, tuple(overrides or ()), fingerprints, why_not_vllm_in(spec.parent))
    plan = compile(loaded.experiment, fingerprints, loaded.origin)
    if store.is_dir():
        fingerprints.save()
    held, checks = Store(store), checks_of(store)
    steps = checks.states(held.steps, plan.steps)
    if store.is_dir():
        checks.save()
    warnings = [str(warning) for warning in loaded.warnings]
    applied = applied_study(plan.study.experiment, store)
    if applied is not None and _is_another(applied, plan.study):
        warnings.append(
            f"the experiment `{plan.study.experiment}` of this store is the study of {applied.spec_file}."
            f" Applying {spec} takes its place, cells and report included. Give one of them another name"
        )
    now = rests_on(plan, fingerprints)
    unlike_lock = moved(spec, now, model_folders(plan))
    warnings += warnings_of(spec, now, unlike_lock)
    left_open = held.left_open()
    done = steps.done - left_open - other_code(plan, held, steps.done)
    found = diff(plan, done, targets or (), tuple(warnings), left_open, steps.faults)
    files = {str(file): fingerprints.file(file) for file in sorted(fingerprints.files)}
    found = replace(
        found, chosen=_chosen(plan.study, held, done), moved=unlike_lock, files=files, applied=applied
    )
    found = replace(
        found,
        reach=(
            *chosen_lines(plan.engines),
            *reach([plan.steps[step_id] for step_id in found.reachable], fingerprints.files, spec.parent),
            *not_ready(plan, found.reachable),
        ),
    )
    found = replace(found, warnings=(*found.warnings, *known_lines(plan, found.todo, store)))
    if identify and found.todo:
        from xp.languages import other_languages  # the language judge, which a plan does not need

        told = [
            str(Problem(str(spec), 0, 0, f"data.{dataset}.rows", why, "warning"))
            for dataset, why in other_languages(loaded.samples, loaded.experiment.languages)
        ]
        found = replace(found, warnings=(*found.warnings, *told))
    if targets and not found.wanted:
        raise ArgumentError(
            f"no step is named by --target {' '.join(targets)}. `xp plan {spec} --json` lists the steps"
        )
    return found


def other_code(plan: Plan, store: Store, done: frozenset[StepId]) -> frozenset[StepId]:
    """Those of the finished steps that a plan does not take as they are, since other code made them."""
    return (
        made_by_other_code(store, plan.steps, done)
        if plan.execution.reuse == "same_fingerprint"
        else frozenset()
    )


def warehouse_of(store: Path) -> Path:
    """The store's warehouse. Raises WarehouseError where there is none yet."""
    path = warehouse_in(store)
    if not path.exists():
        raise WarehouseError(
            f"there is no warehouse in {store} yet. `xp apply SPEC` makes one; `xp rebuild` makes it again"
            " from a store's files"
        )
    return path


def rebuild(store: Path, address: str | None = None) -> tuple[str, ...]:
    """Rebuild the warehouse from the store's files, at the address that it has or is given. Returns what
    could not be loaded, in sentences.

    Raises:
        ArgumentError: there is no such address.
        StoreLocked: an apply is at work on the store: what it finishes meanwhile would be missing.
        WarehouseError: there is no store, or the warehouse cannot be made.
    """
    if not store.is_dir():
        raise WarehouseError(f"{store} is no store: there is nothing to make a warehouse from")
    from warehouse.load import rebuild as make_again  # duckdb, which a plan does not need

    with Store(store).lock():
        return make_again(store, address)


def experiment_of(study: str) -> str:
    """The experiment's name: as given, or as the spec file says. Raises SpecError."""
    if not study.endswith((".yaml", ".yml")):
        return study
    return experiment_name(Path(study))


def unlike_applied(spec: Path, store: Path, overrides: tuple[str, ...] = ()) -> str:
    """Say how the applied study of a spec's name differs from the spec; empty where it does not."""
    applied = applied_study(experiment_name(spec, overrides), store)
    if applied is None:
        return ""
    fingerprints = _fingerprints(store)
    try:
        loaded = load(spec, applied.overrides, fingerprints, why_not_vllm_in(spec.parent))
        planned = compile(loaded.experiment, fingerprints, loaded.origin).study
        is_same = asked(planned) == asked(applied)
    except SpecError:  # as where its data is gone by now
        is_same = spec.read_text("utf-8-sig") == applied.spec_text
        planned = applied.model_copy(update={"spec_file": str(spec), "step_ids": ()})
    if is_same:
        return ""
    if _is_another(applied, planned):
        return (
            f"The experiment {applied.experiment} was last applied from {applied.spec_file}, another study"
            f" than {spec}: this report is of that one. Give one of them another name and apply it."
        )
    if spec.read_text("utf-8-sig") == applied.spec_text:
        return (
            f"{spec} would be planned otherwise now (its data, xp itself or an environment variable is not as"
            " it was): this report is of the study as it was applied."
        )
    return (
        f"{spec} was changed since it was applied: this report is of the study as it was then. Apply it again"
        " for the one it is now."
    )


def applied_study(experiment: str, store: Path) -> Study | None:
    """The study that was applied last under this name, if its record can be read."""
    try:
        return read_record(Store(store).experiments / f"{experiment}.json", Study)
    except DataError:
        return None


def _is_another(applied: Study, planned: Study) -> bool:
    """Test whether a study is another file's that is still there and asks for something else."""
    other = Path(applied.spec_file)
    return (
        other.is_file()
        and other.resolve() != Path(planned.spec_file).resolve()
        and asked(applied) != asked(planned)
    )


def asked(study: Study) -> Study:
    """Return a study without what may differ between two spec files that ask for the same."""
    return study.model_copy(update={"spec_file": "", "spec_text": "", "notes": (), "overrides": ()})


@dataclass(frozen=True)
class StudyStatus:
    """One study of a store."""

    study: Study
    n_done: int
    failed: tuple[Run, ...]
    """The last attempt of each of its steps that failed last time and has no result."""
    chosen: tuple[str, ...] = ()
    """Decisions made on the way, in lines: values chosen on validation rows, contrasts that are settled."""
    beside: "BesideActual | None" = None
    """Estimates of its finished steps beside what these took, where an apply kept some."""
    stopped: tuple[Run, ...] = ()
    """The last attempt of each of its steps that was stopped last time and has no result."""
    spent: Use | None = None
    """Spending of all of its applies, where it has a budget."""


@dataclass(frozen=True)
class Status:
    """A store."""

    store: Path
    holder: str | None
    """The process that applies to it now."""
    studies: tuple[StudyStatus, ...]
    notes: tuple[str, ...] = ()
    """Files that could not be read, in sentences."""


def status_of(store: Path) -> Status:
    """Return a store's status. A store that is not there holds nothing."""
    from xp.estimates.kept import beside_actual  # duckdb, which a plan does not need

    held = Store(store)
    done = held.done()
    last: dict[str, Run] = {}
    notes: list[str] = []
    for run in _records(store / "runs", Run, notes):
        if run.step_id not in last or run.started_at >= last[run.step_id].started_at:
            last[run.step_id] = run
    found: list[StudyStatus] = []
    for study in _records(store / "experiments", Study, notes):
        left = [last[s] for s in study.step_ids if s in last and s not in done]
        failed, stopped = (
            tuple(run for run in left if run.status == status) for status in ("failed", "stopped")
        )
        n_done = sum(s in done for s in study.step_ids)
        found.append(
            StudyStatus(
                study,
                n_done,
                failed,
                chosen=_chosen(study, held, done),
                beside=beside_actual(study, store),
                stopped=stopped,
                spent=held.spent(study.experiment),
            )
        )
    return Status(store, held.holder(), tuple(found), tuple(notes))


def _chosen(study: Study, store: Store, done: Container[StepId]) -> tuple[str, ...]:
    """Each choice and each place's last look at a contrast, of steps that are done and can be read."""
    models: dict[StepId, str] = {}
    for cell in study.cells:
        for step_id in cell.train:
            if step_id.startswith("select-") and step_id in done:
                models.setdefault(step_id, model_of(cell))
    lines: list[str] = []
    for step_id, model in models.items():
        with contextlib.suppress(DataError):
            facts = read_record(store.step_folder(step_id) / "outcome.json", Outcome).facts
            lines.append(
                f"{model}: {facts['varied']}, the best of {facts['n_trials']} by"
                f" {facts['metric_for_best_model']} ({facts['best_metric']:.4g}) on"
                f" {facts['n_validation_rows']} validation rows"
            )
    return (*lines, *looks_in_lines(study, store, done))


def _records(folder: Path, kind: type[_Record], notes: list[str]) -> Iterator[_Record]:
    """Every file of a folder that can be read; notes about the others."""
    for file in sorted(folder.glob("*.json")):
        try:
            yield read_record(file, kind)
        except DataError as error:
            notes.append(f"{error}.")


def checks_of(store: Path) -> Checks:
    """Return the known checks of the files of a store's finished steps."""
    return Checks(store / "cache" / "checked.json")


def _fingerprints(store: Path) -> Fingerprints:
    return Fingerprints(store / "cache" / "digests.json")
