"""Studies and stores as objects: the commands and the functions of `import xp` stand on them."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from dsl.checks.load import experiment_name
from dsl.errors import ArgumentError, WarehouseError
from dsl.plan.diff import Diff
from dsl.spec.budget import Use
from dsl.values import StepId
from xp.studies import diff_for, unlike_applied, warehouse_of

if TYPE_CHECKING:  # a plan loads neither pandas nor what runs it
    import pandas  # pyright: ignore[reportMissingTypeStubs]

    from runners.store.bucket import Bucket
    from xp.attempts import Applied, Watch
    from xp.estimates.budget import Limit, LimitName
    from xp.estimates.estimating import Estimates
    from xp.needed import Needed
    from xp.plan.asked import Asked
    from xp.plan.overview import Overview
    from xp.plan.published import PublishedPlan
    from xp.power import Detectable

ReportFormat = Literal["html", "latex"]


def store_folder(store: str | os.PathLike[str] | None) -> Path:
    """Return the store that is meant: as named, by the environment variable, or `.xp`."""
    return Path(store or os.environ.get("XP_STORE") or ".xp")


def bucket_of(share: str | None) -> "Bucket | None":
    """Return the bucket that is meant: as named, by the environment variable, or none. Raises
    ArgumentError."""
    address = os.environ.get("XP_SHARE") if share is None else share
    if not address:
        return None
    from runners.store.bucket import open_bucket

    return open_bucket(address)


@dataclass(frozen=True)
class Study:
    """A spec and the store that its results are in."""

    spec: Path
    store: Path
    overrides: tuple[str, ...] = ()

    def plan(self, targets: Sequence[str] = (), *, identify: bool = False) -> "Planned":
        """Compare the spec with the store.

        Args:
            targets: Patterns of step ids, or kinds: only these steps and what they need. None is all.
            identify: Check a sample of the rows for the language that they are read for.

        Raises:
            SpecError: the spec is invalid; it holds every problem.
            ArgumentError: a target names no step.
        """
        found = diff_for(self.spec, list(self.overrides), list(targets), self.store, identify=identify)
        return Planned(found, self.store, tuple(targets))

    def apply(
        self,
        planned: "Planned | None" = None,
        *,
        jobs: int | None = None,
        in_process: bool = False,
        allow_env: bool = False,
        report: bool = True,
        watch: "Watch | None" = None,
        check: Callable[[], None] | None = None,
        share: str | None = None,
    ) -> "Applied":
        """Run the steps that have no result, load them into the warehouse, and write the report.

        A step that fails is among the result's failures, no exception; the others run. The report is of
        what is there then, and names what is missing; it is written too where nothing was left to run.

        Args:
            planned: The plan to run, as `plan` returned it; by default the whole one.
            jobs: Worker processes on this machine; one, or one on each GPU.
            in_process: Run the steps in this process, as for a debugger.
            allow_env: Allow the store, from now on, to send servers the environment variables in the plan.
            report: Write the report.
            watch: Called with each event as it happens.
            check: Called once the store is locked, before anything is run; what it raises ends the apply.
            share: Bucket through which several stores share steps, as `s3://bucket/prefix`; by default
                `$XP_SHARE`, or none.

        Raises:
            SpecError: the spec is invalid.
            ArgumentError: a variable would be sent to a server for the first time, and that is not allowed;
                or the weights of a model alone do not fit into this machine's memory.
            XpError: the store or the warehouse cannot be used; `xp.apply.apply` names the cases.
        """
        from runners.store.store import Store
        from xp.apply import apply
        from xp.attempts import ignore
        from xp.reach import to_allow

        bucket = bucket_of(share)
        planned = planned or self.plan()
        held = Store(self.store)
        watch = watch or ignore
        if planned.todo:
            from xp.estimates.before_apply import keeping, refuse_too_large

            refuse_too_large(planned.diff, planned.estimates)
            watch = keeping(planned.estimates, planned.diff, self.store, watch)
        new = to_allow(planned.diff, held.allowed())
        if new and not allow_env:
            raise ArgumentError(
                f"this study {'; '.join(map(str, new))}, for the first time from this store. Allow it:"
                " --allow-env, or `allow_env=True` in Python"
            )
        if new:
            held.allow((call.variable or "", call.host) for call in new)
        applied = apply(
            planned.diff,
            self.store,
            jobs=jobs,
            in_process=in_process,
            watch=watch,
            check=check,
            bucket=bucket,
        )
        experiment = planned.diff.plan.study.experiment
        applied = replace(applied, notes=(*applied.notes, *_served_notes(self.store, experiment)))
        if not report:
            return applied
        try:
            (page,) = OpenStore(warehouse_of(self.store)).report(experiment)
            return replace(applied, report=page)
        except WarehouseError as error:
            return replace(applied, notes=(*applied.notes, f"The report was not written: {error}"))

    @overload
    def query(self, sql: str, frame: Literal["pandas"] = "pandas") -> "pandas.DataFrame": ...
    @overload
    def query(self, sql: str, frame: Literal["polars"]) -> Any: ...
    def query(self, sql: str, frame: Literal["pandas", "polars"] = "pandas") -> Any:
        """Query the store's warehouse: see `OpenStore.query`."""
        return OpenStore(warehouse_of(self.store)).query(sql, frame)

    def report(self, out: Path | None = None, format: ReportFormat = "html") -> Path:
        """Write the report of the study as it was applied last, and return it: see `OpenStore.report`.

        Where the spec has changed since, the report says so.
        """
        opened = OpenStore(warehouse_of(self.store))
        note = unlike_applied(self.spec, self.store, self.overrides)
        return opened.report(experiment_name(self.spec, self.overrides), out, format, note)[0]


def _served_notes(store: Path, experiment: str) -> tuple[str, ...]:
    """Say which models answered that were not asked for; nothing where the warehouse cannot be read now."""
    from warehouse.connect import connect
    from warehouse.served_models import served_models

    try:
        with connect(warehouse_of(store), read_only=True) as connection:
            return served_models(connection, experiment).notes
    except WarehouseError:
        return ()


@dataclass(frozen=True, repr=False)
class Planned:
    """Plan of a study beside its store. As text it is what `xp plan` prints."""

    diff: Diff
    store: Path
    targets: tuple[str, ...] = ()

    @property
    def todo(self) -> tuple[StepId, ...]:
        """Steps to run, each after its inputs."""
        return self.diff.todo

    def in_bucket(self, bucket: "Bucket") -> tuple[StepId, ...]:
        """Return those of the steps to run that are finished in a bucket. Raises StoreError."""
        from runners.store.share import finished_in

        there = finished_in(bucket)
        return tuple(step_id for step_id in self.todo if step_id in there)

    @cached_property
    def _asked(self) -> "Asked":
        from xp.plan.asked import Asked

        return Asked(self.diff, self.store)

    @cached_property
    def power(self) -> "Sequence[Detectable]":
        """Minimum detectable effects of the contrasts."""
        from xp.power import power_of

        return power_of(self.diff, self.store, self._asked)

    @cached_property
    def overview(self) -> "Overview":
        """Lines of methods and languages, and the rows to make."""
        from xp.plan.overview import overview_of

        return overview_of(self.diff, self.store, self._asked)

    @cached_property
    def estimates(self) -> "Estimates":
        """Tokens, time, memory and money of the steps to run."""
        from xp.estimates.estimating import estimates_of

        return estimates_of(self.overview.asked, self.overview.rows)

    @cached_property
    def budget(self) -> "Mapping[LimitName, Limit]":
        """Limits of the study's budget beside what is spent and what is estimated; empty without one."""
        from runners.store.store import Store
        from xp.estimates.budget import limits_of

        budget = self.diff.plan.execution.budget
        if budget is None:
            return {}
        spent = Store(self.store).spent(self.diff.plan.study.experiment) or Use()
        return limits_of(budget, spent, self.estimates.total())

    def __repr__(self) -> str:
        return self.as_text()

    def as_text(self, width: int | None = None) -> str:
        """Return one screen of text; sentences are broken at `width` cells, or nowhere."""
        from xp.render.estimates import budget_sentences, estimate_columns, estimate_sentences
        from xp.render.plan import COLUMNS, plan_as_text

        columns = (*COLUMNS, *estimate_columns(self.estimates))
        more = (*estimate_sentences(self.diff, self.estimates), *budget_sentences(self.budget))
        return plan_as_text(self.overview, self.power, columns, more, width)

    def needed(self, effect: float) -> "Sequence[Needed]":
        """Return the items, training seeds or judge repeats that would detect an effect, in the unit of each
        measure, and what they cost."""
        from xp.needed import needed_of

        return needed_of(self.overview, effect, self.power)

    def to_json(self) -> str:
        """Return cells, lines, steps and effects as JSON, whose schema `xp schema --plan` prints."""
        return json.dumps(self.published.model_dump(mode="json"), indent=1)  # ASCII, for a terminal

    @cached_property
    def published(self) -> "PublishedPlan":
        """The plan in the form that programs can rely on."""
        from xp.plan.published import published

        return published(self.overview, self.power, self.estimates, self.budget, self.targets)


@dataclass(frozen=True)
class OpenStore:
    """A store's warehouse, to be read. Each call opens the file and closes it, so an apply is never held up
    for longer than that."""

    warehouse: Path

    @overload
    def query(self, sql: str, frame: Literal["pandas"] = "pandas") -> "pandas.DataFrame": ...
    @overload
    def query(self, sql: str, frame: Literal["polars"]) -> Any: ...
    def query(self, sql: str, frame: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return what a query finds as a data frame. It can change nothing and read no other file.

        Raises:
            ArgumentError: polars is asked for and not installed.
            WarehouseError: the warehouse cannot be read, or DuckDB refuses the query.
        """
        from warehouse.query import frame as frame_of

        return frame_of(self.warehouse, sql, frame)

    def report(
        self, experiment: str, out: Path | None = None, format: ReportFormat = "html", note: str = ""
    ) -> tuple[Path, ...]:
        """Write a study's report and return its files.

        Args:
            experiment: The study's name in the store.
            out: The file; by default `reports/<experiment>.html` or `.tex`.
            format: `html` is one page that needs no network; `latex` the main tables as LaTeX and as
                Markdown, and a folder of figures.
            note: A sentence to stand beside the study's own notes.

        Raises:
            WarehouseError: the warehouse holds no such study, or a file cannot be written.
        """
        from warehouse.report import write_paper, write_report

        if format == "html":
            page = out or Path("reports") / f"{experiment}.html"
            return (write_report(self.warehouse, experiment, page, note),)
        return write_paper(self.warehouse, experiment, out or Path("reports") / f"{experiment}.tex", note)
