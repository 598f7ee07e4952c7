"""Reuse rows that servers answered and judged in a store of an older version.

That version, whose ids have 12 digits, made its row keys in another way and from fewer settings. Today's
steps are keyed in that way, too: a row that has such a key was asked of the same server and model with the
same prompt, decoding and seed, or is the same judge's verdict on the same answer. Answers are cut out of the
raw text anew, at a fence or behind a thinking block, as one that came now would be.

Adopted rows lie in the folder of the step's unfinished attempt, under today's keys, and say that other code
made them. All that is made without a server (data, training, answers and verdicts of weights that are loaded
here, verdicts by rule) is made again.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pydantic import ValidationError

from dsl.data.records import Completion, Prompt, Provenance, Verdict
from dsl.engines.contract import Decoding, EngineSettings, ServerSettings
from dsl.errors import ArgumentError, StoreError
from dsl.judges.contract import JudgeSettings
from dsl.plan.diff import Diff
from dsl.steps.identity import Canonical, digest
from dsl.steps.steps import GenerateStep, JudgeStep, Step
from dsl.values import Sha256, StepId
from runners.engines import find_engine
from runners.inference.stop_strings import cut_at_stop
from runners.inference.thinking import without_thinking
from runners.judges import find_judge
from runners.steps import generate, judge
from runners.store.reusable_rows import reusable_rows
from runners.store.row_keys import Keys
from runners.store.step_io import StepContext, rewrite_rows
from runners.store.store import Store

Row = TypeVar("Row", Completion, Verdict)

BY_OTHER_CODE = Provenance(code="adopted")

LOADED_HERE = "of weights that are loaded here"
UNNAMED = "of a server that its rows do not name: they know neither what `base_url_env` held nor a `revision`"
NOT_THERE = "for which it has no row: there, another model, prompt, decoding, seed or judge made them"
NO_TEXT = "that were cut shorter there, were errors, or had no text"
TO_COME = "on answers that have to be made first: `xp apply --target generate`, then adopt again"


@dataclass(frozen=True)
class Adopted:
    """Rows that the next apply finds, and those that models are asked for all the same."""

    n_answers: int
    n_verdicts: int
    left_out: Mapping[str, int]
    """Kind of rows and why they were not adopted -> how many."""


def adopt(diff: Diff, root: Path, older: Path) -> Adopted:
    """Put an older store's valid rows where the next apply of a study finds them.

    The study's data steps must be done; `older` is only read.

    Raises:
        ArgumentError: the study takes no rows that other code made.
        StoreError: there is no older store, or it cannot be read.
        StoreLocked: an apply is at work on the store.
    """
    if diff.plan.execution.reuse != "any":
        raise ArgumentError(f"`reuse: {diff.plan.execution.reuse}` takes no rows that another version made")
    if not (older / "steps").is_dir():
        raise StoreError(f"{older} is no store: there is nothing to adopt")
    store, left_out, n_answers, n_verdicts = Store(root), Counter[str](), 0, 0
    with store.lock():
        completions, verdicts = _by_key(older, generate.FILE, Completion), _by_key(older, judge.FILE, Verdict)
        for step_id in diff.todo:
            step = diff.plan.steps[step_id]
            inputs = StepContext({i: _folder_of(store, i) for i in step.inputs}, store.cache)
            if store.is_done(step_id):  # with rows to ask for again, or damaged
                continue
            if isinstance(step, GenerateStep) and step.model.engine != "recorded":
                found = _answers(step, inputs, completions, left_out)
                n_answers += len(found)
                _lay_down(store, step_id, step, generate.FILE, found, Completion)
            elif isinstance(step, JudgeStep) and any(one.models() for one in step.judges.values()):
                judged = _verdicts(step, inputs, verdicts, left_out)
                n_verdicts += len(judged)
                _lay_down(store, step_id, step, judge.FILE, judged, Verdict)
    return Adopted(n_answers, n_verdicts, {why: n for why, n in left_out.items() if n})


def _by_key(older: Path, file: str, kind: type[Row]) -> dict[Sha256, list[Row]]:
    """Row key -> rows, of finished steps and of attempts; stores of that version hold no digests to check
    them by."""
    found: dict[Sha256, list[Row]] = {}
    for path in sorted((older / "steps").glob(f"*/{file}")):
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror or error}") from error
        for line in lines:
            try:
                row = kind.model_validate_json(line)
            except ValidationError:  # half a line of a killed attempt
                continue
            found.setdefault(row.row_key, []).append(row)
    return found


def _folder_of(store: Store, step_id: StepId) -> Path:
    return store.step_folder(step_id) if store.is_done(step_id) else store.unfinished_folder(step_id)


def _lay_down(
    store: Store, step_id: StepId, step: Step, file: str, rows: Sequence[Row], kind: type[Row]
) -> None:
    """Write rows beside those that an attempt left, one for each key: the step takes it for all of its
    places."""
    if rows:
        with store.begin(step_id, step) as folder:
            held = {row.row_key: row for row in reusable_rows(folder / file, kind)}
            rewrite_rows(folder / file, ({row.row_key: row for row in rows} | held).values())


def _answers(
    step: GenerateStep,
    inputs: StepContext,
    older: Mapping[Sha256, Sequence[Completion]],
    left_out: Counter[str],
) -> list[Completion]:
    if why := _cannot_be_proved(step.model):
        with (inputs[step.examples] / "examples.jsonl").open("rb") as lines:
            left_out[f"answers {why}"] += sum(1 for _ in lines)
        return []
    engine = find_engine(step.model.engine).Engine(step.model, None, inputs.cache)
    adopted: list[Completion] = []
    for example, request, row_key in generate.wanted_rows(step, inputs, engine).values():
        rows = older.get(_older_key(step.model, step.decoding, request.prompt, request.seed), ())
        cut = [_cut_anew(row, request.prompt) for row in rows if row.raw_text]
        valid = [row for row in cut if generate.is_still_valid(row, step.decoding.max_new_tokens)]
        if valid:
            here = {"item": example.item, "language": example.language, "row_key": row_key}
            adopted.append(valid[0].model_copy(update={**here, "seconds": None, "provenance": BY_OTHER_CODE}))
        else:
            left_out[f"answers {NO_TEXT if rows else NOT_THERE}"] += 1
    return adopted


def _verdicts(
    step: JudgeStep, inputs: StepContext, older: Mapping[Sha256, Sequence[Verdict]], left_out: Counter[str]
) -> list[Verdict]:
    read, adopted = judge.read_inputs(step, inputs), list[Verdict]()
    left_out[f"verdicts {TO_COME}"] += len(read.examples) - len(read.completions)
    for name, settings in step.judges.items():
        module = find_judge(settings.judge)
        if why := next((why for model in settings.models() if (why := _cannot_be_proved(model))), ""):
            left_out[f"verdicts {why}"] += sum(
                len(answer.keys) for answer in judge.answers_of(step, settings, read, Keys(module, settings))
            )
            continue
        today = judge.answers_of(step, settings, read, judge.keys_of(settings))
        then = judge.answers_of(step, settings, read, _OlderKeys(module, settings))
        for answer, as_keyed_then in zip(today, then, strict=True):
            for aspect, row_key in answer.keys.items():
                rows = [row for row in older.get(as_keyed_then.keys[aspect], ()) if not judge.is_fault(row)]
                if rows:
                    place = {
                        "judge": name,
                        "item": answer.completion.item,
                        "language": answer.completion.language,
                    }
                    here = {
                        **place,
                        "against": answer.against,
                        "row_key": row_key,
                        "seconds": None,
                        "usd": None,
                    }
                    adopted.append(rows[0].model_copy(update={**here, "provenance": BY_OTHER_CODE}))
                else:
                    left_out[f"verdicts {NOT_THERE}"] += 1
    return adopted


def _cannot_be_proved(model: EngineSettings) -> str:
    """Return why no row can be shown to be this model's; empty where one can."""
    if not isinstance(model, ServerSettings):
        return LOADED_HERE
    return (
        UNNAMED
        if model.revision is not None or (model.base_url is None and model.base_url_env is not None)
        else ""
    )


# ---------------------------------------------------------------- as the older version had it


_SINCE: tuple[tuple[str, object], ...] = (("source", None), ("penalize_prompt", True))
"""Settings of a decoding that the version lacked, and what they are where they change nothing."""


def _older_model(model: EngineSettings) -> object:
    return {name: getattr(model, name) for name in ("base_url", "base_url_env", "engine", "name")}


def _older_key(model: EngineSettings, decoding: Decoding, prompt: Prompt, seed: int | None) -> Sha256:
    """The key that the version gave a row. Where a setting that it lacked is in use, this is no row's key."""
    counted = decoding.model_dump(
        exclude={name for name, unused in _SINCE if getattr(decoding, name) == unused}
    )
    asked = Canonical().text((_older_model(model), "", {**counted, "max_new_tokens": 1}))
    identity = prompt.model_dump_json(
        exclude={"ends_at_fence"} | (set() if prompt.chat_template_kwargs else {"chat_template_kwargs"})
    )
    return hashlib.sha256(Canonical().text((asked, identity, seed)).encode()).hexdigest()


def _cut_anew(row: Completion, prompt: Prompt) -> Completion:
    """The row with the answer that is cut out of its raw text now. The server was sent the same; fences and
    thinking are cut on this side."""
    text, stop = cut_at_stop(
        row.raw_text or "", [one for one in prompt.stop_strings if one], ends_at_fence=prompt.ends_at_fence
    )
    text = without_thinking(text, "") if prompt.text is None else text
    text = generate.clean(text, fence_is_open=prompt.text is not None and not prompt.ends_at_fence)
    return row.model_copy(
        update={"text": text} | ({} if stop is None else {"finish_reason": "stop", "stop_string": stop})
    )


class _OlderKeys(Keys):
    """The row keys that the version gave verdicts: without the code, and with what it knew of a server."""

    def __init__(self, module: ModuleType, settings: JudgeSettings) -> None:
        super().__init__(module, settings)
        known: Mapping[str, Sequence[object]] = module.aspects(settings)
        for aspect, counted in known.items():
            parts = [_older_model(part) if isinstance(part, ServerSettings) else part for part in counted]
            self._settings[aspect] = Canonical().text(parts)

    def _key(self, aspect: str, counted: str, read: Mapping[str, object]) -> Sha256:
        return digest((aspect, counted, read))
