"""Progress of studies, from the files of their attempts: steps, rows a second, time left, failures."""

import datetime
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from dsl.data.records import BegunRun, Run, RunProgress, read_record
from dsl.errors import DataError
from dsl.plan.study import Study
from dsl.values import StepId
from runners.store.applies import alive
from runners.store.store import Store
from xp.render.labels import labels_in
from xp.render.pace import RECENT

AnyRun = TypeVar("AnyRun", bound=Run)


class Watched:
    """A store that is looked at again and again. What does not change any more is read once."""

    def __init__(self, store: Path) -> None:
        self.store = Store(store)
        self._runs: dict[str, Run | None] = {}
        self._studies: dict[str, tuple[int, Study]] = {}

    def studies(self) -> list[Study]:
        """Return the studies of the store whose records can be read."""
        for file in sorted(self.store.experiments.glob("*.json")):
            changed = file.stat().st_mtime_ns
            if self._studies.get(file.stem, (0, None))[0] != changed:
                try:
                    self._studies[file.stem] = (changed, read_record(file, Study))
                except DataError:  # `xp status` says so
                    continue
        return [study for _, study in self._studies.values()]

    def progress(self) -> dict[str, Any]:
        """Return what is at work, done and failed, as JSON knows it.

        `seconds_left` is null where nothing is known, and `is_whole` false where it leaves out steps of a
        kind of which none is done.
        """
        done, holder = self.store.done(), self.store.holder()
        runs = self._ended()
        begun = self._begun()
        return {
            "holder": holder,
            "loaded": self.loaded(),
            "studies": [self._study(study, done, runs, begun) for study in self.studies()],
        }

    def loaded(self) -> int | None:
        """Return the time of the warehouse's last change; None where there is none yet."""
        try:
            return self.store.warehouse.stat().st_mtime_ns // 1_000_000
        except FileNotFoundError:
            return None

    def log(self, step_id: StepId) -> Path | None:
        """Return the log of a step of one of the studies, if there is one."""
        if not any(step_id in study.step_ids for study in self.studies()):
            return None
        folders = (self.store.unfinished_folder(step_id), self.store.step_folder(step_id))
        return next((log for folder in folders if (log := folder / "log.txt").is_file()), None)

    def _study(
        self, study: Study, done: frozenset[StepId], runs: Sequence[Run], begun: Sequence[Run]
    ) -> dict[str, Any]:
        steps = frozenset(study.step_ids)
        labels = labels_in(study.cells)
        last = {run.step_id: run for run in runs if run.step_id in steps}
        failed = [run for run in last.values() if run.status == "failed" and run.step_id not in done]
        running = [self._running(run, labels) for run in begun if run.step_id in steps]
        at_work = {one["step"] for one in running}
        seconds, is_whole = _left(study, done | at_work, runs, running)
        return {
            "experiment": study.experiment,
            "n_steps": len(steps),
            "n_done": len(steps & done),
            "running": running,
            "seconds_left": seconds if running else None,
            "is_whole": is_whole,
            "failures": [
                {"step": run.step_id, "label": labels.get(run.step_id, ""), "error": run.error}
                for run in failed
                if run.step_id not in at_work
            ],
        }

    def _running(self, run: Run, labels: dict[StepId, str]) -> dict[str, Any]:
        started = datetime.datetime.fromisoformat(run.started_at)
        found: dict[str, Any] = {
            "step": run.step_id,
            "label": labels.get(run.step_id, ""),
            "seconds": (datetime.datetime.now(datetime.UTC) - started).total_seconds(),
            "done": None,
            "total": None,
            "rate": None,
            "seconds_left": None,
        }
        try:
            rows = read_record(self.store.runs / f"{run.run_id}.progress", RunProgress)
        except DataError:  # no row yet
            return found
        new = rows.done - rows.n_first
        rate = new / rows.seconds if new and rows.seconds else None
        left = (rows.total - rows.done) / rate if rate else None
        return {**found, "done": rows.done, "total": rows.total, "rate": rate, "seconds_left": left}

    def _ended(self) -> list[Run]:
        """Return the attempts that are over, first to last."""
        for file in self.store.runs.glob("*.json"):
            if file.name not in self._runs:
                self._runs[file.name] = _read(file, Run)
        return sorted(filter(None, self._runs.values()), key=lambda run: run.started_at)

    def _begun(self) -> list[Run]:
        """Return the attempts at work: those of applies that are."""
        at_work = alive(self.store.root)
        found = (_read(file, BegunRun) for file in sorted(self.store.runs.glob("*.begun")))
        return [run for run in found if run is not None and run.apply in at_work]


def _left(
    study: Study, taken: frozenset[StepId], runs: Sequence[Run], running: Sequence[dict[str, Any]]
) -> tuple[float | None, bool]:
    """Estimate the seconds that a study takes from now on, and say whether that covers all of its steps.

    A step that waits takes the mean of its kind's last ones, one at work what its rows say; those at work go
    on beside each other.
    """
    steps = frozenset(study.step_ids)
    means = _means([run for run in runs if run.status == "done" and run.step_id in steps])
    waiting = Counter(_kind(step_id) for step_id in steps - taken)
    parts = [n * means[kind] for kind, n in waiting.items() if kind in means]
    unknown = [kind for kind in waiting if kind not in means]
    for one in running:
        left, mean = one["seconds_left"], means.get(_kind(one["step"]))
        if left is not None or mean is not None:
            parts.append(left if left is not None else max(0.0, (mean or 0.0) - one["seconds"]))
        else:
            unknown.append(one["step"])
    return (sum(parts) / max(1, len(running)) if parts else None), not unknown


def _means(runs: Sequence[Run]) -> dict[str, float]:
    """Return the mean seconds of the last steps of each kind. A process's first one loads a model, and counts
    only where its kind has no other."""
    loading = {(run.host, run.pid): run.run_id for run in reversed(runs)}.values()
    first, others = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for run in runs:
        (first if run.run_id in loading else others)[_kind(run.step_id)].append(run.seconds)
    return {kind: fmean(seconds[-RECENT:]) for kind, seconds in (first | others).items()}


def _kind(step_id: StepId) -> str:
    return step_id.rpartition("-")[0]


def _read(file: Path, kind: type[AnyRun]) -> AnyRun | None:
    """Read the record of an attempt; None where it is gone or damaged."""
    try:
        return read_record(file, kind)
    except DataError:
        return None
