"""`reuse: same_fingerprint`: rows that other code made are made again.

Without it such rows are taken as they are, and flagged.

Data steps and judges that decide by rule have their code in their id, so this is about training, generation
and judges that ask a model.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from dsl.data.code_fingerprint import fingerprint
from dsl.data.records import Outcome
from dsl.steps.steps import DataStep, JudgeStep, PairsStep, Step
from dsl.steps.training_steps import TuningStep
from dsl.values import StepId
from runners.store.step_io import codes_of
from runners.store.store import Store


def made_by_other_code(
    store: Store, steps: Mapping[StepId, Step], done: Iterable[StepId]
) -> frozenset[StepId]:
    """Those of the finished steps that other code made, or that hold a row which it made."""
    return frozenset(
        s for s in done if s in steps and _is_asked(steps[s]) and not _is_own(store.step_folder(s), steps[s])
    )


def is_of_other_code(outcome: Outcome, step: Step) -> bool:
    """Check if other code made a finished step, or a row that it holds."""
    return _is_asked(step) and (outcome.code != fingerprint(*step.code) or outcome.n_of_other_code > 0)


def drop_rows_of_other_code(store: Store, step_id: StepId, step: Step) -> None:
    """Take away what an earlier attempt left, unless this code made all of it and it can be gone on from."""
    folder = store.unfinished_folder(step_id)
    if not _is_asked(step) or not folder.exists():
        return
    code = fingerprint(*step.code)
    if isinstance(step, TuningStep):
        is_own = codes_of(folder) == frozenset({code})
    else:
        lines = [line for file in folder.rglob("*.jsonl") for line in file.read_bytes().splitlines()]
        is_own = bool(lines) and all(f'"code":"{code}"'.encode() in line for line in lines)
    if not is_own:
        shutil.rmtree(folder)


def _is_asked(step: Step) -> bool:
    return not isinstance(step, DataStep | PairsStep) and not (
        isinstance(step, JudgeStep) and all(judge.counted_code for judge in step.judges.values())
    )


def _is_own(folder: Path, step: Step) -> bool:
    try:
        outcome = Outcome.model_validate_json((folder / "outcome.json").read_bytes())
    except (OSError, ValidationError):
        return False
    return not is_of_other_code(outcome, step)
