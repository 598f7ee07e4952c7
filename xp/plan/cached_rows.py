"""Rows of a store that a plan's steps can reuse, as far as that shows without a tokenizer.

A step's rows are compared with those of the step that was in its place when the study was applied last, and
with those that an earlier attempt at the step itself has left. Rows of further steps may fit, too: their keys
hold the prompts' tokens, which are known only when the step runs.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dsl.data.records import Completion, Example
from dsl.judges.contract import JudgeSettings
from dsl.plan.diff import Diff
from dsl.steps.identity import Canonical
from dsl.steps.prompt_forms import TextPrompt
from dsl.steps.steps import GenerateStep, JudgeStep
from dsl.values import Name, StepId
from runners.judges import find_judge
from runners.judges.contract import NO_REPLY
from runners.steps.generate import is_still_valid
from runners.store.step_io import read_rows
from runners.store.store import Store, read_step
from xp.plan.asked import Asked
from xp.plan.changes import Changes
from xp.plan.differences import differences

MOST_BYTES = 64_000_000
"""Bytes of rows that a plan reads; what lies beyond is not counted as reused."""

_OF_NO_ROW = {("examples",), ("decoding", "max_new_tokens")}
"""Fields in which two generate steps may differ and still have rows in common."""


@dataclass
class CachedRows:
    """Answers and verdicts that need not be made, each step's counted once."""

    diff: Diff
    asked: Asked
    changes: Changes | None
    uncertain: set[StepId] = field(default_factory=set[StepId])
    """Generate steps whose prompt text is another: prompts may be alike nevertheless, or but for a stop
    string."""
    _answers: dict[StepId, Mapping[str, str]] = field(default_factory=dict[StepId, Mapping[str, str]])
    _n_bytes: int = 0

    def n_rows(self, step_id: StepId) -> int:
        """Rows of a generate or judge step that is to run, which are there already."""
        if not self._there:
            return 0
        step = self.diff.plan.steps[step_id]
        if isinstance(step, GenerateStep):
            return len(self.answers(step_id))
        return self._n_verdicts(step_id, step) if isinstance(step, JudgeStep) else 0

    @cached_property
    def has_others(self) -> Mapping[str, bool]:
        """Kind of step -> whether the store has such steps that are not compared here."""
        compared = {*self.diff.plan.steps}
        if self.changes is not None:
            compared.update(self.changes.applied.step_ids)
        shared = self.diff.plan.execution.reuse == "any"
        found = self._there if shared else ()
        others = {name.partition("-")[0] for name in found if name.removesuffix(".tmp") not in compared}
        return {kind: kind in others for kind in ("generate", "judge")}

    def answers(self, step_id: StepId) -> Mapping[str, str]:
        """Items of a generate step that have their answer -> the items that it was an answer to."""
        if step_id not in self._answers:
            self._answers[step_id] = self._reused_answers(step_id)
        return self._answers[step_id]

    @cached_property
    def _store(self) -> Store:
        return Store(self.asked.store)

    @cached_property
    def _there(self) -> frozenset[str]:
        """Names of the store's folders of steps, finished and unfinished."""
        folder = self._store.steps
        return frozenset(os.listdir(folder) if folder.is_dir() else ())

    @cached_property
    def _todo(self) -> frozenset[StepId]:
        return frozenset(self.diff.todo)

    def _reused_answers(self, step_id: StepId) -> Mapping[str, str]:
        step = self.diff.plan.steps[step_id]
        assert isinstance(step, GenerateStep)
        if step.slices and step_id in self._todo:
            return {item: same for one in step.slices for item, same in self.answers(one).items()}
        asked = self.asked.wanted(step)
        if asked is None or not self._todo.isdisjoint({step.tuned, step.after} - {None}):
            return {}
        if step_id not in self._todo:
            return {example.item: example.item for example in asked}
        most = step.decoding.max_new_tokens
        own = self._valid_answers(step_id, most) if step_id not in self.diff.faults else frozenset[str]()
        found = {example.item: example.item for example in asked if example.item in own} if own else {}
        old = self._counterpart(step_id)
        if not isinstance(old, GenerateStep) or step.prompt is None:
            return found
        unlike = [one.path for one in differences(old, step, (), step) if one.path not in _OF_NO_ROW]
        if unlike:
            if all(path[0] == "prompt" and path[-1] == "sha256" for path in unlike):
                self.uncertain.add(step_id)
            return found
        valid = self._valid_answers(self._old_id(step_id), most)
        was = {_read_by(example, step): example.item for example in self._examples(old.examples)}
        for example in asked:
            item = was.get(_read_by(example, step))
            if item in valid:
                found.setdefault(example.item, item)
        return found

    def _valid_answers(self, step_id: StepId, max_new_tokens: int) -> frozenset[str]:
        """The items whose answers in a step are valid under a limit."""
        fields = ("finish_reason", "n_new_tokens", "max_new_tokens")
        return frozenset(
            row["item"]
            for row in self._rows(step_id, "completions.jsonl")
            if is_still_valid(
                Completion.model_construct(**{name: row.get(name) for name in fields}), max_new_tokens
            )
        )

    def _n_verdicts(self, step_id: StepId, step: JudgeStep) -> int:
        asked = self.asked.wanted(self.asked.answers(step))
        if step.verdicts or asked is None or not self.answers(step.answers):
            return 0
        old_id, old = self._old_id(step_id), self._counterpart(step_id)
        if step_id not in self.diff.faults and (
            f"{step_id}.tmp" in self._there or step_id in self.diff.left_open
        ):
            old_id, old = step_id, step
        if (
            not isinstance(old, JudgeStep)
            or old.probe != step.probe
            or old.against.keys() != step.against.keys()
        ):
            return 0
        was = {example.item: example for example in self._examples(old.examples)}
        answers = self._same_answers(step.answers, old.answers)
        opponents = {m: self._same_answers(step.against[m], old.against[m]) for m in step.against}
        n_most = step.probe.rows if step.probe else len(asked)
        wanted: dict[tuple[Name, str], set[str]] = {}
        """Judge's key and aspect of the earlier step -> the items that are judged again."""
        for key, settings in step.judges.items():
            for old_key, aspects in self._same_aspects(step_id, key, settings, old):
                items = {
                    example.item
                    for example in asked[: settings.limit][:n_most]
                    if answers.get(example.item) == example.item and was.get(example.item) == example
                }
                for aspect in aspects:
                    wanted.setdefault((old_key, aspect), set()).update(items)
        return sum(
            row["item"] in wanted.get((row["judge"], row["aspect"]), ())
            and not (row.get("unscored_reason") or "").startswith(NO_REPLY)
            and (row.get("against") is None or row["item"] in opponents.get(row["against"], {}))
            for row in (self._rows(old_id, "verdicts.jsonl") if wanted else ())
        )

    def _same_answers(self, step_id: StepId, old_id: StepId) -> Mapping[str, str]:
        """Items of a generate step whose answers are those of an earlier one -> the items there."""
        same = step_id == old_id or self._old_id(step_id) == old_id
        return self.answers(step_id) if same else {}

    def _same_aspects(
        self, step_id: StepId, key: Name, settings: JudgeSettings, old: JudgeStep
    ) -> Iterator[tuple[Name, Sequence[str]]]:
        """Keys of the judge in the earlier step, with the aspects whose verdicts are decided alike."""
        if key in old.judges:
            yield key, settings.verdict_aspects()
        elif settings.models():  # of a judge by rule, another key may be other code
            canonical, module = Canonical(), find_judge(settings.judge)
            now = _by_aspect(module, settings, canonical)
            for old_key, earlier in old.judges.items():
                if type(earlier) is type(settings):
                    then = _by_aspect(module, earlier, canonical)
                    yield old_key, [aspect for aspect, text in now.items() if then.get(aspect) == text]

    def _old_id(self, step_id: StepId) -> StepId:
        found = None if self.changes is None else self.changes.counterpart(step_id)
        return found or ""

    def _counterpart(self, step_id: StepId) -> object:
        """The step that was in a step's place, where its rows may be reused."""
        old_id = self._old_id(step_id)
        if not old_id or old_id == step_id or self.diff.plan.execution.reuse != "any":
            return None
        return read_step(self._folder(old_id))

    def _folder(self, step_id: StepId) -> Path:
        is_finished = step_id in self._there
        return self._store.step_folder(step_id) if is_finished else self._store.unfinished_folder(step_id)

    def _examples(self, data: StepId) -> Sequence[Example]:
        if data in self.diff.plan.steps:
            return self.asked.examples(data) or ()
        return tuple(read_rows(self._folder(data) / "examples.jsonl", Example))

    def _rows(self, step_id: StepId, file: str) -> Iterator[dict[str, Any]]:
        """Whole rows of a step's file, until the plan has read enough."""
        if self._there.isdisjoint((step_id, f"{step_id}.tmp")):
            return
        path = self._folder(step_id) / file
        self._n_bytes += path.stat().st_size if path.is_file() else 0
        if not path.is_file() or self._n_bytes > MOST_BYTES:
            return
        with path.open("rb") as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # half a line, or one that was damaged
                    yield json.loads(line)


def _read_by(example: Example, step: GenerateStep) -> object:
    """The part of an example that its prompt and its draw depend on."""
    draws = step.decoding.is_sampled or (
        isinstance(step.prompt, TextPrompt) and step.prompt.demonstrations is not None
    )
    return example.instruction, example.turns, (example.language, example.item) if draws else None


def _by_aspect(module: Any, settings: JudgeSettings, canonical: Canonical) -> dict[str, str]:
    """Aspect -> all that decides on its verdicts besides what is read, as `runners.store.row_keys` has it."""
    settings = settings.model_copy(update={"limit": None})
    own = module.aspects(settings) if hasattr(module, "aspects") else {settings.judge: settings}
    return {aspect: canonical.text(counted) for aspect, counted in own.items()}
