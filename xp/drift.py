"""Drift: what a study rests on that is otherwise now, servers of judges included."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from dsl.data.records import Completion, Verdict
from dsl.data.written_files import scratch_folder
from dsl.engines.contract import ServerSettings
from dsl.errors import BudgetSpent, ServerError
from dsl.plan.study import Plan
from dsl.spec.budget import Charge
from dsl.steps.steps import JudgeStep
from dsl.values import Name, StepId
from runners.http.server import Call, call_of
from runners.steps import find_runner
from runners.store.spending import charged
from runners.store.step_io import RowWriter, StepContext, read_rows
from runners.store.store import Store
from xp.lock import NOT_KNOWN, SECTIONS, Lock, as_they_are, lock_file, model_folders, moved, planned, read
from xp.render.words import counted

N_CANARIES = 5
"""Answers that each served judge judges again."""


@dataclass(frozen=True)
class Drift:
    """Result of a look at what a study rests on."""

    moved: tuple[str, ...]
    """In lines, each with its place or name, the old value and the new one."""
    looked_at: tuple[str, ...]
    unknown: tuple[str, ...]
    """Things that could not be looked at, and why."""


class _Judge(NamedTuple):
    """A judge behind a server, and a finished step with verdicts of it."""

    name: Name
    step_id: StepId
    key: str
    model: ServerSettings


def drift(spec: Path, overrides: Sequence[str], store: Path) -> Drift:
    """Compare files, packages and commits with a spec's lock, and the judges behind servers with the verdicts
    in the store: each judges a few answers again, which the study's budget pays for.

    A variable is sent to a server only where that was allowed in this store before. Raises SpecError where
    the spec is invalid.
    """
    plan, fingerprints = planned(spec, overrides, store)
    found, looked_at, unknown = list[str](), list[str](), list[str]()
    if (lock := read(spec)) is None:
        unknown.append(
            f"files, packages and commits: {lock_file(spec)} is not there; `xp lock {spec}` writes it"
        )
    else:
        now, without = as_they_are(plan, fingerprints, store)
        found += map(str, moved(spec, now, model_folders(plan)))
        looked_at += _compared(lock, now)
        unknown += (f"{name}: {NOT_KNOWN}" for name in without)
    held = Store(store)
    if (budget := plan.execution.budget) is not None:
        held.charge = Charge(experiment=plan.study.experiment, budget=budget)
    for judge in _judges(plan, held):
        call = call_of(judge.model)
        if call.variable is not None and (call.variable, call.host) not in held.allowed():
            unknown.append(f"judge {judge.name}: this store may not send {call.variable} to {call.host} yet")
            continue
        try:
            before, after = _judged_again(judge, plan, held)
        except (ServerError, BudgetSpent) as error:
            unknown.append(f"judge {judge.name}: {error}")
        else:
            looked_at.append(f"{counted(len(after), 'verdict')} of the judge {judge.name}, given again")
            found += (f"judge {judge.name}: {line}" for line in _unlike(before, after, call))
    return Drift(tuple(found), tuple(looked_at), tuple(unknown))


def _compared(lock: Lock, now: Lock) -> Iterator[str]:
    for section in SECTIONS:
        if n := len(getattr(lock, section).keys() & getattr(now, section).keys()):
            yield f"{counted(n, 'entry', 'entries')} of {section}"


def _judges(plan: Plan, store: Store) -> Iterator[_Judge]:
    """Each judge that asks a server, with the first of its steps that is done."""
    done, seen = store.done(), set[Name]()
    for cell in plan.study.cells:
        for name, judged in cell.judges.items():
            step = plan.steps[judged.step]
            if name in seen or judged.step not in done or not isinstance(step, JudgeStep):
                continue
            for model in step.judges[judged.judge].models():
                if isinstance(model, ServerSettings):
                    seen.add(name)
                    yield _Judge(name, judged.step, judged.judge, model)


Verdicts = dict[tuple[str, str | None, str], Verdict]
"""Item, opponent and aspect -> the verdict."""


def _judged_again(judge: _Judge, plan: Plan, store: Store) -> tuple[Verdicts, Verdicts]:
    """Return a judge's verdicts on the first answers that it gave a score, and those that it gives now."""
    step = plan.steps[judge.step_id]
    assert isinstance(step, JudgeStep)
    rows = read_rows(store.step_folder(judge.step_id) / "verdicts.jsonl", Verdict)
    known = [row for row in rows if row.judge == judge.key and row.score is not None]
    items = set(islice(dict.fromkeys(row.item for row in known), N_CANARIES))
    before = {_place(row): row for row in known if row.item in items}
    with scratch_folder() as scratch:
        answers, out = scratch / "answers", scratch / "verdicts"
        answers.mkdir()
        out.mkdir()
        with RowWriter(answers / "completions.jsonl") as writer:
            for row in read_rows(store.step_folder(step.answers) / "completions.jsonl", Completion):
                if row.item in items:
                    writer.write(row)
        folders = {i: store.step_folder(i) for i in step.inputs} | {step.answers: answers}
        again = step.model_copy(update={"judges": {judge.key: step.judges[judge.key]}})
        if items:
            with charged(again, store):
                find_runner(step.kind).run(again, StepContext(folders, store.cache), out)
        made = list(read_rows(out / "verdicts.jsonl", Verdict))
    return before, {_place(row): row for row in made}


def _place(row: Verdict) -> tuple[str, str | None, str]:
    return row.item, row.against, row.aspect


def _unlike(before: Verdicts, after: Verdicts, call: Call) -> Iterator[str]:
    """Say how a judge differs from what it was: the model that its server names, and its scores."""
    was, now = (
        sorted({row.model_served for row in rows.values() if row.model_served}) for rows in (before, after)
    )
    if was and now and not set(now) <= set(was):
        yield f"{call.host} named the model {', '.join(was)} and names {', '.join(now)} now"
    changes = [_change(row, after[place]) for place, row in before.items() if place in after]
    if any(change != 0 for change in changes):
        numbers = [change for change in changes if change is not None]
        mean = f", on average by {fmean(numbers):+.3g}" if numbers else ""
        lost = f", {changes.count(None)} of them without a score now" if None in changes else ""
        n = sum(change != 0 for change in changes)
        yield f"{n} of {counted(len(changes), 'verdict')} given again are others{mean}{lost}"


def _change(was: Verdict, now: Verdict) -> float | None:
    return None if was.score is None or now.score is None else now.score - was.score
