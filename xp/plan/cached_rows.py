"""Rows of a store that a plan's steps can reuse, as far as that shows without a tokenizer.

A step's rows are compared with those of the step that was in its place when the study was applied last, and
with those that an earlier attempt at the step itself has left. Rows of further steps may fit, too: their keys
hold the prompts' tokens, which are known only when the step runs.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
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
from xp.plan.asked import Asked, n_aspects, step_of
from xp.plan.changes import Changes
from xp.plan.differences import differences

MOST_BYTES = 64_000_000
"""Bytes of rows that a plan reads; what lies beyond is not counted as reused."""

_OF_NO_ROW = {("examples",), ("decoding", "max_new_tokens")}
"""Fields in which two generate steps may differ and still have rows in common."""


Place = tuple[str, str, Name | None, str]
"""Key of the judge, item, opponent and aspect of a verdict."""


@dataclass
class CachedRows:
    """Answers and verdicts that need not be made, each step's counted once."""

    diff: Diff
    asked: Asked
    changes: Changes | None
    uncertain: set[StepId] = field(default_factory=set[StepId])
    """Generate steps whose prompt text is another: prompts may be alike nevertheless, or but for a stop
    string. Judge steps whose items are others in what their judges may not read."""
    _answers: dict[StepId, Mapping[str, str]] = field(default_factory=dict[StepId, Mapping[str, str]])
    _verdicts: dict[StepId, frozenset[Place]] = field(default_factory=dict[StepId, frozenset[Place]])
    _settings: dict[int, tuple[JudgeSettings, Mapping[str, str]]] = field(
        default_factory=dict[int, "tuple[JudgeSettings, Mapping[str, str]]"]
    )
    _canonical: Canonical = field(default_factory=Canonical)
    _n_bytes: int = 0

    def n_rows(self, step_id: StepId) -> int:
        """Rows of a generate or judge step that is to run, which are there already."""
        if not self._there:
            return 0
        step = self.diff.plan.steps[step_id]
        if isinstance(step, GenerateStep):
            return len(self.answers(step_id))
        return len(self.verdicts(step_id)) if isinstance(step, JudgeStep) else 0

    def may_be_elsewhere(self, step_id: StepId, step: GenerateStep | JudgeStep) -> bool:
        """Test whether rows that a step has to make may be equal to some of steps that it is not compared
        with: in the store, or in the plan itself."""
        if self.diff.plan.execution.reuse != "any":
            return False
        if step_id in self.uncertain or self._has_others.get(step.kind, False):
            return True
        if not isinstance(step, JudgeStep):
            return False
        aspects = (text for judge in step.judges.values() for text in self._by_aspect(judge).values())
        return bool(step.verdicts) or any(self._n_judging[text] > 1 for text in aspects)

    @cached_property
    def _has_others(self) -> Mapping[str, bool]:
        """Kind of step -> whether the store has such steps that are not compared here."""
        compared = {*self.diff.plan.steps, *map(self._old_id, self.diff.todo)}
        others = {name.partition("-")[0] for name in self._there if name.removesuffix(".tmp") not in compared}
        return {kind: kind in others for kind in ("generate", "judge")}

    @cached_property
    def _n_judging(self) -> Mapping[str, int]:
        """All that decides on verdicts of an aspect besides what is read -> the plan's steps that have
        some."""
        return Counter(
            text
            for step in self.diff.plan.steps.values()
            if isinstance(step, JudgeStep)
            for text in {text for judge in step.judges.values() for text in self._by_aspect(judge).values()}
        )

    def answers(self, step_id: StepId) -> Mapping[str, str]:
        """Items of a generate step that have their answer -> the items that it was an answer to."""
        if step_id not in self._answers:
            self._answers[step_id] = self._reused_answers(step_id)
        return self._answers[step_id]

    def verdicts(self, step_id: StepId) -> frozenset[Place]:
        """Places in a judge step whose verdicts are there already."""
        if step_id not in self._verdicts:
            step = step_of(self.diff, step_id, JudgeStep)
            self._verdicts[step_id] = self._reused_verdicts(step_id, step)
        return self._verdicts[step_id]

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

    def _reused_verdicts(self, step_id: StepId, step: JudgeStep) -> frozenset[Place]:
        asked = self.asked.wanted(self.asked.answers(step))
        if asked is None or not (answers := self.answers(step.answers)):
            return frozenset()
        old_id, old = self._old_id(step_id), self._counterpart(step_id)
        if step_id not in self.diff.faults and (
            f"{step_id}.tmp" in self._there or step_id in self.diff.left_open
        ):
            old_id, old = step_id, step
        if not isinstance(old, JudgeStep) or _asked_as(old) != _asked_as(step):
            return frozenset()
        was = {example.item: example for example in self._examples(old.examples)}
        if not self._same_answers(step.answers, old.answers):
            return frozenset()
        n_most = step.probe.rows if step.probe else len(asked)
        wanted: dict[tuple[str, str], list[tuple[str, set[str]]]] = {}
        """Judge's key and aspect of the earlier step -> keys now, each with the items that are judged
        alike."""
        for key, settings in step.judges.items():
            judged = asked[: settings.limit][:n_most]
            same = {e.item for e in judged if answers.get(e.item) == e.item and was.get(e.item) == e}
            if any(e.item in answers and e.item not in same for e in judged):
                self.uncertain.add(step_id)  # of a judge that does not read what is new of the item
            for old_key, aspects in self._same_aspects(key, settings, old):
                for aspect in aspects:
                    wanted.setdefault((old_key, aspect), []).append((key, same))
        opponents, found = self._opponents(step, old), set[Place]()
        for row in self._rows(old_id, "verdicts.jsonl") if wanted else ():
            if not (row.get("unscored_reason") or "").startswith(NO_REPLY):
                item, against = row["item"], row.get("against")
                found.update(
                    (key, item, now, row["aspect"])
                    for key, items in wanted.get((row["judge"], row["aspect"]), ())
                    for now in opponents.get(against, ())
                    if item in items and (now is None or item in self.answers(step.against[now]))
                )
        if not step.verdicts:
            return frozenset(found)
        read = self._same_read(step, old)
        return frozenset(place for place in found if all(place[1:3] in one for one in read))

    def _opponents(self, step: JudgeStep, old: JudgeStep) -> Mapping[Name | None, Sequence[Name | None]]:
        """Opponents of the earlier step -> those of this one with the same answers, under whatever name."""
        found: dict[Name | None, list[Name | None]] = {None: [None]}
        for now, answers in step.against.items():
            names = [now, *old.against] if now in old.against else [*old.against]
            same = (name for name in names if self._same_answers(answers, old.against[name]))
            if (then := next(same, None)) is not None:
                found.setdefault(then, []).append(now)
        return found

    def _same_read(self, step: JudgeStep, old: JudgeStep) -> Sequence[Container[tuple[str, Name | None]]]:
        """Items and opponents on which each judge that a step reads says the same as in the earlier step."""
        found: list[Container[tuple[str, Name | None]]] = []
        for name, now in step.verdicts.items():
            then = old.verdicts.get(name)
            if now == then:
                found.append(_Everything())
            elif then is None or now.step not in self._todo or self._old_id(now.step) != then.step:
                found.append(())
            else:
                read = step_of(self.diff, now.step, JudgeStep)
                judge, examples = read.judges[now.judge], self._examples(read.examples)
                n_all = {e.item: n_aspects(judge, judge.verdict_aspects(), e) for e in examples}
                n_there = Counter((p[1], p[2]) for p in self.verdicts(now.step) if p[0] == now.judge)
                found.append({place for place, n in n_there.items() if n == n_all[place[0]]})
        return found

    def _same_answers(self, step_id: StepId, old_id: StepId) -> bool:
        """Test whether a generate step's answers that are reused are those of an earlier one."""
        return step_id == old_id or self._old_id(step_id) == old_id

    def _same_aspects(
        self, key: str, settings: JudgeSettings, old: JudgeStep
    ) -> Iterator[tuple[str, Sequence[str]]]:
        """Keys of the judge in the earlier step, with the aspects whose verdicts are decided alike."""
        if key in old.judges:
            yield key, settings.verdict_aspects()
            return
        now = self._by_aspect(settings)
        for old_key, earlier in old.judges.items():
            if type(earlier) is not type(settings):
                continue
            # the key of a judge by rule covers its code
            if settings.models() or self._canonical.judge_key(earlier) == old_key:
                then = self._by_aspect(earlier)
                yield old_key, [aspect for aspect, text in now.items() if then.get(aspect) == text]

    def _by_aspect(self, settings: JudgeSettings) -> Mapping[str, str]:
        """Aspect -> all that decides on its verdicts besides what is read, as `runners.store.row_keys` has
        it."""
        if id(settings) not in self._settings:
            module, counted = find_judge(settings.judge), settings.model_copy(update={"limit": None})
            own: dict[str, object] = (
                module.aspects(counted) if hasattr(module, "aspects") else {settings.judge: counted}
            )
            texts = {aspect: self._canonical.text(one) for aspect, one in own.items()}
            self._settings[id(settings)] = settings, texts  # with the settings, so that the id stays theirs
        return self._settings[id(settings)][1]

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


def _asked_as(step: JudgeStep) -> object:
    """The planted text and the replicate, which keys of all of a step's verdicts cover."""
    return step.probe and step.probe.text, step.replicate


class _Everything(Container[object]):
    def __contains__(self, _: object) -> bool:
        return True
