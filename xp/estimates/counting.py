"""Work of a plan's steps, counted without a tokenizer: rows, requests, tokens, optimiser steps.

Tokens are bytes of UTF-8 over a ratio: measured on rows that the model answered before, else
`BYTES_PER_TOKEN`. Lengths are those of a sample of the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from statistics import fmean
from typing import cast

from dsl.data.records import Example, Prompt
from dsl.engines.contract import EngineSettings
from dsl.engines.recorded import Settings as RecordedAnswers
from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings
from dsl.steps.identity import Canonical
from dsl.steps.prompt_forms import ChatPrompt, PromptForm, TextPrompt
from dsl.steps.steps import DataStep, GenerateStep, ItemSlice, JudgeStep, PairsStep, Step
from dsl.steps.training_settings import HeldOut
from dsl.steps.training_steps import DpoStep, KtoStep, ReferenceLogpsStep, TuningStep
from dsl.values import StepId
from runners.prompting.prompts import Prompter
from runners.store.step_io import StepContext
from xp.estimates.questions import Questions, questions_of, writes
from xp.estimates.work import TokenRates, Work, name_of
from xp.plan.asked import Asked

BYTES_PER_TOKEN = 3.5
"""UTF-8 bytes of a token where no row of the model is kept: English has about 4, other languages of the Latin
script 2.5 to 3.5, and a Chinese character is one token of 3."""

REPLY_SHARE = 0.6
"""Part of `max_new_tokens` that an answer has, where no answer of the model is kept."""

REPLY_TOKENS_PER_ASPECT = 60
"""Tokens of a judge's reason and score in writing, where none of its replies is kept."""

MESSAGE_TOKENS = 12
"""Tokens that a chat template adds to a message."""

JUDGE_BYTES = (250, 900)
"""Bytes of the instructions around the texts that a judge reads: where it decides, and where it writes."""

UNKNOWN_ANSWER_BYTES = 600
"""Bytes of an answer that somebody else recorded."""

SAMPLED = 64
"""Rows of a data set whose lengths are read."""

_Trained = tuple[float, int, tuple[StepId, ...], tuple[int, ...]]
"""Bytes per token, tokens that a side may have, data steps, and prompt forms, which cells share."""

_Judged = tuple[str, StepId, int | None, ItemSlice | None]
"""Judge's key, examples, rows of a probe and slice of the examples."""


@dataclass
class WorkCounter:
    """Counts the work of a plan's steps; equal texts are read once."""

    asked: Asked
    rates: TokenRates = field(default_factory=TokenRates)
    _prompts: dict[tuple[StepId, str], tuple[float, float, float]] = field(
        default_factory=dict[tuple[StepId, str], tuple[float, float, float]]
    )
    _trained: dict[_Trained, tuple[int, float, float]] = field(
        default_factory=dict[_Trained, tuple[int, float, float]]
    )
    _judged: dict[_Judged, Questions | None] = field(default_factory=dict[_Judged, Questions | None])
    _example_bytes: dict[StepId, float] = field(default_factory=dict[StepId, float])
    _alike: dict[tuple[object, ...], Work | None] = field(
        default_factory=dict[tuple[object, ...], "Work | None"]
    )
    _work: dict[StepId, Work | None] = field(default_factory=dict[StepId, Work | None])
    _canonical: Canonical = field(default_factory=Canonical)

    def work(self, step_id: StepId) -> Work | None:
        """Return a step's work, all of its rows made anew; None where its rows cannot be counted yet. Steps
        that differ in nothing that counts share one."""
        if step_id not in self._work:
            step = self.asked.diff.plan.steps[step_id]
            key = self._key(step) or (step_id,)
            if key not in self._alike:
                try:
                    self._alike[key] = self._count(step)
                except (_UncountedError, DataError):  # what is wrong with a text, the step itself will report
                    self._alike[key] = None
            self._work[step_id] = self._alike[key]
        return self._work[step_id]

    def _key(self, step: Step) -> tuple[object, ...] | None:
        """All that the work of a step depends on; settings by their identity, since cells share them."""
        match step:
            case GenerateStep(after=None):
                asked = (step.examples, step.items, bool(step.slices))
                return ("generate", id(step.model), id(step.prompt), id(step.decoding), *asked)
            case TuningStep():
                data = (step.data, _n_unlearnt(step))
                held_out = step.validation
                shared = (step.weights, step.training, *step.prompts)
                return (step.kind, data, step.rows, step.adapter is None, held_out, *map(id, shared))
            case JudgeStep(probe=None) if not step.verdicts:
                answers = self.asked.answers(step)
                if (read := self._key(answers)) is None:
                    return None
                judges = tuple((key, id(judge)) for key, judge in step.judges.items())
                return ("judge", judges, len(step.against), step.examples, answers.slices, *read)
            case DataStep():
                return ("data",)
            case _:
                return None

    def _count(self, step: Step) -> Work:
        match step:
            case DataStep():
                return Work("data")
            case GenerateStep():
                return self._generate(step)
            case TuningStep():
                return self._training(step)
            case ReferenceLogpsStep():
                return self._reference_logps(step)
            case JudgeStep():
                return self._judge(step)
            case _:
                return Work(step.kind)

    def _generate(self, step: GenerateStep) -> Work:
        if step.slices:  # it asks nothing
            return Work("generate")
        rows = self._known(self.asked.wanted(step))
        if isinstance(step.model, RecordedAnswers) or step.prompt is None:
            return Work("generate", step.model, n_rows=len(rows))
        ratio = self._ratio(step.model)
        mean, shared, longest = self._prompt_bytes(step.examples, step.prompt)
        before = self._earlier_answers(step, ratio)
        most = step.decoding.max_new_tokens
        template = self._template_tokens(step.prompt)
        share = self.rates.reply_share.get((name_of(step.model), step.prompt.form), REPLY_SHARE)
        return Work(
            "generate",
            step.model,
            n_rows=len(rows),
            n_requests=len(rows),
            prompt_tokens=len(rows) * (mean / ratio + template + before),
            shared_tokens=max(0, len(rows) - 1) * shared / ratio,
            new_tokens=len(rows) * share * most,
            most_new_tokens=most,
            longest=longest / ratio + template + before + most,
        )

    def _training(self, step: TuningStep) -> Work:
        n_rows, tokens, longest = self._training_rows(step, step.data, step.training.max_length)
        n_answers = len(step.ANSWERS)
        trained_apart = n_answers if isinstance(step, KtoStep) else 1  # each answer of a pair is a row
        held_out = n_rows * step.validation.rows if isinstance(step.validation, HeldOut) else 0.0
        training = step.training
        n_trained = n_rows - held_out
        batch = training.per_device_train_batch_size * training.gradient_accumulation_steps
        steps = training.max_steps
        if steps < 0:
            steps = ceil(ceil(n_trained * trained_apart / batch) * training.num_train_epochs)
        trained = steps * batch * tokens / trained_apart
        forward = 0.0
        if step.validation is not None:
            each = training.eval_steps
            n_evaluations = ceil(1 / each) if each < 1 else ceil(steps / each)
            n_validated = held_out or sum(
                len(self._examples(i)) for i in cast("tuple[StepId, ...]", step.validation)
            )
            forward = n_evaluations * n_validated * tokens
        forward += _n_unlearnt(step) * (forward + trained)
        return Work(
            step.kind,
            step.weights,
            n_rows=round(n_trained),
            train_steps=steps,
            trained_tokens=trained,
            forward_tokens=forward,
            longest=longest,
            rows_at_once=training.per_device_train_batch_size * n_answers // trained_apart,
            trains_all_weights=step.adapter is None,
        )

    def _reference_logps(self, step: ReferenceLogpsStep) -> Work:
        n_rows, tokens, longest = self._training_rows(step, step.pairs, step.max_length)
        return Work(
            "reference_logps",
            step.weights,
            n_rows=n_rows,
            n_requests=2 * n_rows,
            prompt_tokens=n_rows * tokens,
            longest=longest,
        )

    def _training_rows(
        self, step: TuningStep | ReferenceLogpsStep, data: Sequence[StepId], most: int
    ) -> tuple[int, float, float]:
        """Count rows, mean tokens of a row (of a pair, both sides with the prompt), and the longest side."""
        ratio = self._ratio(step.weights)
        place = (ratio, most, tuple(data), tuple(map(id, step.prompts)))
        if place not in self._trained:
            self._trained[place] = self._read_training(ratio, most, data, step.prompts)
        n_rows, mean, longest = self._trained[place]
        return n_rows if step.rows is None else min(step.rows, n_rows), mean, longest

    def _read_training(
        self, ratio: float, most: int, data: Sequence[StepId], prompts: Sequence[PromptForm]
    ) -> tuple[int, float, float]:
        n_rows, lengths = 0, list[float]()
        longest = 0.0
        for data_id, form in zip(data, prompts, strict=True):
            data_id, answer = self._not_made_yet(data_id)
            rows = self._examples(data_id)
            n_rows += len(rows)
            prompt = self._prompt_bytes(data_id, form)[0] / ratio + self._template_tokens(form)
            for row in _sample(rows):
                answers = (row.response,) if row.response is not None else (row.chosen, row.rejected)
                tokens = [len(text.encode()) / ratio for text in answers if text is not None]
                sides = [min(most, prompt + n) for n in (tokens if answer is None else [answer] * 2)]
                lengths.append(sum(sides))
                longest = max(longest, *sides, 0.0)
        return n_rows, fmean(lengths) if lengths else 0.0, longest

    def _not_made_yet(self, data: StepId) -> tuple[StepId, float | None]:
        """Return the data step whose questions have pairs, at most all, and the tokens of an answer to one;
        for rows that are there, their own step and None."""
        step = self.asked.diff.plan.steps[data]
        if not isinstance(step, PairsStep) or data in self.asked.diff.done:
            return data, None
        answers = self.work(step.samples[0])
        if answers is None or not answers.n_rows:
            raise _UncountedError
        return step.examples, answers.new_tokens / answers.n_rows

    def _judge(self, step: JudgeStep) -> Work:
        n_rows = self.asked.n_verdicts(step)
        slices = self.asked.answers(step).slices
        answer = self.work(slices[0] if slices else step.answers)
        if n_rows is None or answer is None:
            raise _UncountedError
        total = Work("judge", n_rows=n_rows)
        for key, judge in step.judges.items():
            model = next(iter(judge.models()), None)
            asked = None if model is None else self._questions(key, judge, step)
            if model is not None and asked is not None:
                total = self._asking(total, step, judge, model, asked, answer)
        return total

    def _asking(
        self,
        total: Work,
        step: JudgeStep,
        judge: JudgeSettings,
        model: EngineSettings,
        asked: Questions,
        answer: Work,
    ) -> Work:
        """Add what a judge asks its model."""
        is_written = writes(judge, model)
        n_pairs = max(1, len(step.against))
        # aspects of other items are asked by themselves
        n_requests = round(sum(asked.on.values()) / len(asked.on) * n_pairs * asked.n_requests)
        n_bytes = self._read_bytes(step, answer) + JUDGE_BYTES[is_written] + asked.bytes_of_one
        tokens = n_bytes / self._ratio(model)
        most = int(getattr(judge, "max_new_tokens", 0)) if is_written else 0
        n_verdicts = sum(asked.on.values()) * n_pairs
        new = self.rates.reply_tokens.get(name_of(model), REPLY_TOKENS_PER_ASPECT * asked.n_requests_of_one)
        return replace(
            total,
            model=model,
            n_requests=total.n_requests + n_requests,
            prompt_tokens=total.prompt_tokens + n_requests * tokens,
            new_tokens=total.new_tokens + min(most * n_requests, new * n_verdicts),
            most_new_tokens=max(total.most_new_tokens, most),
            longest=max(total.longest, 2 * tokens + most),
        )

    def _questions(self, key: str, judge: JudgeSettings, step: JudgeStep) -> Questions | None:
        """Return a judge's questions about the answers to a step's examples; None where it judges none."""
        n_planted = step.probe.rows if step.probe else None
        answers = self.asked.answers(step)
        place = (key, step.examples, n_planted, answers.items)
        if place not in self._judged:
            rows = self._known(self.asked.wanted(answers))[: judge.limit][:n_planted]
            self._judged[place] = questions_of(judge, rows)
        return self._judged[place]

    def _read_bytes(self, step: JudgeStep, answer: Work) -> float:
        """Bytes of the texts that a judge reads for one answer, or for two that it compares."""
        each = UNKNOWN_ANSWER_BYTES
        if answer.n_requests and answer.model is not None:
            each = answer.new_tokens / answer.n_requests * self._ratio(answer.model)
        if step.examples not in self._example_bytes:
            rows = _sample(self._examples(step.examples))
            sizes = [
                len(f"{row.instruction}{row.reference or ''}".encode())
                + sum(len(turn.content.encode()) for turn in row.turns)
                for row in rows
            ]
            self._example_bytes[step.examples] = fmean(sizes or [0.0])
        return each * (2 if step.against else 1) + self._example_bytes[step.examples]

    def _earlier_answers(self, step: GenerateStep, ratio: float) -> float:
        """Tokens of the model's own answers that stand before a later question, on average."""
        total = 0.0
        after = step.after
        while after is not None:
            work = self.work(after)
            total += work.new_tokens / work.n_requests if work and work.n_requests else 0.0
            earlier = self.asked.diff.plan.steps[after]
            after = earlier.after if isinstance(earlier, GenerateStep) else None
        return total

    def _prompt_bytes(self, data: StepId, form: PromptForm) -> tuple[float, float, float]:
        """Mean bytes of a data step's prompts, bytes that all begin with, and bytes of the longest."""
        place = (data, self._canonical.text(form))
        if place not in self._prompts:
            self._prompts[place] = self._read_prompts(data, form)
        return self._prompts[place]

    def _read_prompts(self, data: StepId, form: PromptForm) -> tuple[float, float, float]:
        rows = _sample(self._examples(data))
        if not rows:
            return 0.0, 0.0, 0.0
        shown = 0.0
        if isinstance(form, TextPrompt) and form.demonstrations is not None:
            shown = form.num_fewshot * self._demonstration_bytes(form.demonstrations.pool)
            form = form.model_copy(update={"demonstrations": None, "num_fewshot": 0})
        prompter = Prompter(form, StepContext(folders={}, cache=self.asked.store))
        texts = [_text(prompter.prompt(row)) for row in rows]
        sizes = [len(text.encode()) + shown for text in texts]
        shared = len(_common_beginning(texts).encode()) if len(texts) > 1 else 0
        return fmean(sizes), shared, max(sizes)

    def _demonstration_bytes(self, pool: StepId) -> float:
        """Bytes of a worked example from a data set, with the tags around it."""
        rows = [row for row in _sample(self._examples(pool)) if row.response]
        return 40 + fmean([len(f"{row.instruction}{row.response}".encode()) for row in rows] or [0.0])

    def _template_tokens(self, form: PromptForm) -> int:
        return MESSAGE_TOKENS * (2 if form.system is not None else 1) if isinstance(form, ChatPrompt) else 0

    def _ratio(self, model: EngineSettings) -> float:
        return self.rates.bytes_per_token.get(name_of(model), BYTES_PER_TOKEN)

    def _examples(self, data: StepId) -> Sequence[Example]:
        return self._known(self.asked.examples(data))

    def _known(self, rows: Sequence[Example] | None) -> Sequence[Example]:
        if rows is None:
            raise _UncountedError
        return rows


class _UncountedError(Exception):
    """Rows that are not on this machine yet."""


def _n_unlearnt(step: TuningStep) -> int:
    """Times that a training reads each row beside learning it: with its reference model, and in KTO with
    another answer, which both models read."""
    if isinstance(step, KtoStep):
        return 3
    return int(isinstance(step, DpoStep) and step.ref_logps is None)


def _sample(rows: Sequence[Example]) -> Sequence[Example]:
    """Rows evenly over a data set, at most `SAMPLED`."""
    return rows[:: max(1, ceil(len(rows) / SAMPLED))]


def _common_beginning(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    n = next(
        (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first)
    )
    return first[:n]


def _text(prompt: Prompt) -> str:
    return prompt.text if prompt.text is not None else "".join(text for _, text in prompt.messages or ())
