"""Every kind of step on one page.

A step is a value: its id is the hash of its content (`dsl.steps.identity`), and its inputs are step ids.

    data             a file or hub data set, one language  → examples.jsonl
    pairs            answers + verdicts on them            → examples.jsonl
    reference_logps  a model + pairs of answers            → ref_logps.jsonl
    sft, dpo, kto, orpo, simpo
                     weights + data                        → adapter/ or model/, metrics.jsonl
    select           trainings with validation             → the weights of the best, trials.jsonl
    generate         a model + examples + a prompt form    → completions.jsonl
    judge            completions + examples                → verdicts.jsonl
    sequential_test  verdicts on both sides of a contrast  → looks.jsonl

Those that train are declared in `dsl.steps.training_steps`.

Nothing here says which experiment wants the step: two studies that need the same step share it. Fields that
cannot change a result are named in `identity.NOT_COUNTED`. Raise a class's `VERSION` when the same settings
would now give other results; a data step's code counts by itself.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dsl.data.source import Columns, References, Source
from dsl.engines import AnyEngine
from dsl.engines.contract import Decoding
from dsl.judges import AnyJudge
from dsl.steps.prompt_forms import PromptForm, TextPrompt
from dsl.steps.step import Step
from dsl.steps.stopping import StopWhen
from dsl.steps.training_steps import (
    DpoStep,
    KtoStep,
    OrpoStep,
    ReferenceLogpsStep,
    SelectStep,
    SftStep,
    SimpoStep,
)
from dsl.values import Language, Name, StepId, Value


class DataStep(Step):
    """The examples of one data set in one language."""

    kind: Literal["data"] = "data"
    source: Source
    columns: Columns
    language: Language
    limit: int | None = None
    """The first so many rows."""
    turn: int | None = None
    """Number, from 1, of the question where a row asks several in turn."""
    references: References | None = None
    """Another file that has the items' references."""

    @property
    def counted_code(self) -> tuple[str, ...]:
        return self.code


class ItemSlice(Value):
    """One of several even slices of a step's examples in random order."""

    number: int
    """From 1."""
    of: int
    seed: int
    unless: StepId | None = None
    """The sequential_test step that decides if there is anything left to ask; None for the first slice."""


class GenerateStep(Step):
    """One model's answers to one set of examples."""

    VERSION: ClassVar[int] = 1
    kind: Literal["generate"] = "generate"
    model: AnyEngine
    tuned: StepId | None = None
    """The training or select step whose adapter or weights are used on top."""
    examples: StepId
    prompt: PromptForm | None
    """None for recorded answers."""
    decoding: Decoding
    seed: int | None = None
    """None where no chance enters."""
    after: StepId | None = None
    """The generate step whose conversations these questions go on with: the turn before."""
    items: ItemSlice | None = None
    """The examples to answer; None is all."""
    slices: tuple[StepId, ...] = ()
    """The generate steps whose rows are put together here; nothing is asked then."""
    replicate: int = 0
    """1 where the same is asked again, with another batch size and order, for the noise floor."""

    @property
    def inputs(self) -> tuple[StepId, ...]:
        if self.slices:
            return self.slices
        found: list[StepId] = [self.examples, *((self.after,) if self.after else ())]
        if self.items and self.items.unless:
            found.append(self.items.unless)
        if self.tuned:
            found.append(self.tuned)
        if isinstance(self.prompt, TextPrompt) and self.prompt.demonstrations:
            found += [self.prompt.demonstrations.pool, *self.prompt.demonstrations.keep_out]
        return tuple(dict.fromkeys(found))

    @property
    def code(self) -> tuple[str, ...]:
        return (*super().code, *self.model.code)

    @property
    def affinity(self) -> str:
        return "" if self.slices else self.model.affinity()


class Probe(Value):
    """A text that is planted at the end of answers to see whether it moves a judge."""

    text: str
    rows: int = Field(ge=1)
    """The answers to the first so many items."""


class Judged(Value):
    """Address of one judge's verdicts."""

    step: StepId
    judge: str
    """Its key among the step's `judges`."""


class JudgeStep(Step):
    """Verdicts of one judge, or of all rule judges, on one generate step's completions.

    Rule judges share a step, since each takes less time than a step does.
    """

    kind: Literal["judge"] = "judge"
    judges: dict[str, AnyJudge]
    """The key of a judge's settings (`identity.judge_key`) -> the settings."""
    answers: StepId
    examples: StepId
    against: dict[Name, StepId] = {}
    """Method -> its answers, where each answer is compared with another's."""
    verdicts: dict[Name, Judged] = {}
    """Judge -> its verdicts on the same answers, where the judge reads them."""
    probe: Probe | None = None
    """The text planted in the answers before they are judged."""
    replicate: int = 0
    """1 where verdicts are of calls of their own, though the same answer was judged before."""

    @property
    def inputs(self) -> tuple[StepId, ...]:
        return tuple(
            dict.fromkeys(
                (
                    self.answers,
                    self.examples,
                    *self.against.values(),
                    *(read.step for read in self.verdicts.values()),
                )
            )
        )

    @property
    def code(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(module for judge in self.judges.values() for module in judge.code))

    @property
    def affinity(self) -> str:
        return next(filter(None, (judge.affinity() for judge in self.judges.values())), "")


class PairsStep(Step):
    """Preference pairs of the best and the worst of several answers to each question, by a judge's scores."""

    kind: Literal["pairs"] = "pairs"
    examples: StepId
    samples: tuple[StepId, ...]
    """The generate steps, each with one answer to each question."""
    verdicts: tuple[Judged, ...]
    """Verdicts on each of them."""

    @property
    def inputs(self) -> tuple[StepId, ...]:
        return (self.examples, *self.samples, *(one.step for one in self.verdicts))

    @property
    def counted_code(self) -> tuple[str, ...]:
        return self.code


class SequentialTestStep(Step):
    """Look at a contrast after so many slices of its items: its confidence sequence, and if it is settled."""

    VERSION: ClassVar[int] = 1
    kind: Literal["sequential_test"] = "sequential_test"
    rule: StopWhen
    alpha: float
    """Level at which it excludes a difference."""
    aspect: str
    """The aspect of the verdicts that is compared."""
    scale: tuple[float, float]
    """The lowest and the highest score."""
    of: tuple[Judged, ...]
    """Verdicts on the first side's slices, in their order."""
    against: tuple[Judged, ...]
    before: StepId | None = None
    """The look before this one."""

    @property
    def inputs(self) -> tuple[StepId, ...]:
        before = (self.before,) if self.before else ()
        return tuple(dict.fromkeys((*before, *(one.step for one in (*self.of, *self.against)))))


AnyStep = Annotated[
    DataStep
    | SftStep
    | ReferenceLogpsStep
    | DpoStep
    | KtoStep
    | OrpoStep
    | SimpoStep
    | SelectStep
    | GenerateStep
    | JudgeStep
    | PairsStep
    | SequentialTestStep,
    Field(discriminator="kind"),
]
