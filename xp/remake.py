"""Make a random share of a store's rows again, and compare them with what is there.

The rows of a finished step, without the drawn ones, are laid where an interrupted attempt would have left
them, so that the step's own runner makes the drawn ones and no others.
"""

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dsl.data.records import read_record
from dsl.data.written_files import scratch_folder
from dsl.engines.recorded import Settings as RecordedAnswers
from dsl.errors import ArgumentError, BudgetSpent
from dsl.messages import one_line, shorten
from dsl.plan.study import Study
from dsl.spec.budget import Budget, Charge
from dsl.steps import identity
from dsl.steps.steps import GenerateStep, JudgeStep, Step
from dsl.values import StepId
from runners.execution.attempt import in_one_line
from runners.steps import find_runner
from runners.store.digests import INCIDENTAL
from runners.store.spending import charged
from runners.store.step_io import StepContext
from runners.store.store import Store, read_step
from xp.plan.differences import document_of
from xp.reach import calls, models, remote_code
from xp.studies import checks_of

_FILES = {"generate": "completions.jsonl", "judge": "verdicts.jsonl"}
_PLACE = ("item", "judge", "against", "aspect")

Row = dict[str, Any]


@dataclass(frozen=True)
class Remade:
    """Result of making rows again."""

    n_rows: int
    """Rows that were made again."""
    n_all: int
    """Answers and verdicts of models, of which they were drawn."""
    n_passed_over: int
    """Steps of another version of xp, or whose inputs have changed: of these none were drawn."""
    faults: tuple[str, ...]
    """In sentences, each beginning with its step."""
    stopped: str = ""
    """Reason why the drawn rows are not all made: the budget of their study has no room."""


def remake(
    root: Path,
    share: float,
    seed: int,
    *,
    allow_env: bool = False,
    only: Mapping[StepId, object] | None = None,
) -> Remade:
    """Make a share of the answers and verdicts of models again, and compare them with those in the store.

    A study with a budget pays for its steps, of which the first study that asked for one is meant.

    Args:
        share: Part of the rows, above 0 and at most 1.
        seed: Of the draw.
        allow_env: Ask servers and run models' own code as the steps' settings say, which came with the store,
            and send the environment variables that they name.
        only: The steps to draw from; all by default.

    Raises:
        ArgumentError: a server would be asked, or a model's own code run, and that is not allowed; or a study
            has spent of a budget that its spec does not tell any more.
        StoreLocked: an apply is at work on the store.
    """
    store = Store(root)
    with store.lock():
        steps, n_passed_over = _steps(store, only)
        used = models(steps.values())
        reached = dict.fromkeys((*map(str, calls(used)), *remote_code(used)))
        if reached and not allow_env:
            raise ArgumentError(f"making rows again {'; '.join(reached)}. Allow it: --allow-env")
        rows = {step_id: _rows(store.step_folder(step_id)) for step_id in steps}
        places = [(step_id, key) for step_id, found in rows.items() for key in _keys(found)]
        drawn = random.Random(seed).sample(places, math.ceil(share * len(places)))
        charges = _charges(store)
        n_rows, faults, stopped = 0, list[str](), ""
        for step_id, step in steps.items():
            if keys := {key for of, key in drawn if of == step_id}:
                store.charge = charges.get(step_id)
                try:
                    faults += _made_again(store, step_id, step, rows[step_id], keys)
                except BudgetSpent as error:
                    stopped = str(error)
                    break
                n_rows += sum(row["row_key"] in keys for row in rows[step_id])
        return Remade(n_rows, sum(map(len, rows.values())), n_passed_over, tuple(faults), stopped)


def _charges(store: Store) -> dict[StepId, Charge]:
    """Return step -> the study that pays for it, with the budget that its spec names now."""
    found: dict[StepId, Charge] = {}
    for file in sorted(store.experiments.glob("*.json")):
        study = read_record(file, Study)
        if store.spent(study.experiment) is None:
            continue
        spec = document_of(study).data
        if not spec:
            raise ArgumentError(
                f"{study.experiment} has a budget, which making rows again would spend of, and its spec"
                f" {study.spec_file} cannot be read from here. Put it back, or run this where it was applied"
            )
        if spec.get("budget") is not None:
            try:
                budget = Budget.model_validate(spec["budget"])
            except ValidationError as error:
                raise ArgumentError(
                    f"{study.spec_file}: the budget of {study.experiment} cannot be read. `xp validate"
                    f" {study.spec_file}` says why"
                ) from error
            charge = Charge(experiment=study.experiment, budget=budget)
            found = dict.fromkeys(study.step_ids, charge) | found
    return found


def _steps(store: Store, only: Mapping[StepId, object] | None) -> tuple[dict[StepId, Step], int]:
    """Return the finished steps whose rows a model made and that can be made as they were, and the number of
    the others."""
    done = checks_of(store.root).states(store.steps, sorted(store.done())).done
    found: dict[StepId, Step] = {}
    n_passed_over = 0
    for step_id in sorted(done if only is None else done & only.keys()):
        step = read_step(store.step_folder(step_id))
        if (isinstance(step, GenerateStep) and not isinstance(step.model, RecordedAnswers)) or (
            isinstance(step, JudgeStep) and any(judge.models() for judge in step.judges.values())
        ):
            if identity.step_id(step) == step_id and done.issuperset(step.inputs):
                found[step_id] = step
            else:
                n_passed_over += 1
    return found, n_passed_over


def _rows(folder: Path) -> list[Row]:
    name = _FILES[folder.name.partition("-")[0]]
    return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]


def _keys(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the keys of rows that hold an answer or a score."""
    yield from dict.fromkeys(
        row["row_key"] for row in rows if row.get("text") is not None or row.get("score") is not None
    )


class _OtherKeys(Exception):
    """More rows than the drawn ones would be made."""


def _made_again(
    store: Store, step_id: StepId, step: Step, rows: Sequence[Row], keys: set[str]
) -> Iterator[str]:
    """Make the rows with these keys again; yield what differs."""
    kept = [row for row in rows if row["row_key"] not in keys]
    without_answer = sum(row.get("text") is None and row.get("score") is None for row in kept)

    def report(done: int, total: int) -> None:
        if done < total - (len(rows) - len(kept)) - without_answer:
            raise _OtherKeys

    with scratch_folder() as folder:
        out = folder / step_id
        out.mkdir()
        name = _FILES[step.kind]
        (out / name).write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
        inputs = {i: store.step_folder(i) for i in step.inputs}
        try:
            with charged(step, store):
                find_runner(step.kind).run(step, StepContext(inputs, store.cache, report=report), out)
        except BudgetSpent:
            raise
        except _OtherKeys:
            yield f"{step_id}: its rows have other keys now, so that all of them would be made again"
            return
        except (
            Exception
        ) as error:  # whatever an engine raises is reported, and the other steps are made again
            yield f"{step_id}: cannot be made again: {in_one_line(error)}"
            return
        again = {_place(row): row for row in _rows(out)}
    for row in rows:
        if row["row_key"] in keys and (unlike := _difference(row, again.get(_place(row), {}))):
            yield f"{step_id}: {one_line(str(row['item']))}: {unlike}"


def _place(row: Row) -> tuple[object, ...]:
    return tuple(row.get(name) for name in _PLACE)


def _difference(was: Row, now: Row) -> str:
    """Describe the first field in which two rows differ; empty where none does."""
    for name in was.keys() - {*INCIDENTAL}:
        if was[name] != now.get(name):
            shown = (shorten(one_line(str(value))) for value in (was[name], now.get(name)))
            return "{} was `{}`, is `{}`".format(name, *shown)
    return ""
