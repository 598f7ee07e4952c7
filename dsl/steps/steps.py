"""Every kind of step on one page.

A step is a value: its id is the hash of its content (`dsl.steps.identity`), and its inputs are step ids.

    data             a file or hub data set, one language  → examples.jsonl
    reference_logps  a model + pairs of answers            → ref_logps.jsonl
    sft, dpo         weights + data                        → adapter/ or model/, metrics.jsonl
    select           sft or dpo steps with validation      → the weights of the best, trials.jsonl
    generate         a model + examples + a prompt form    → completions.jsonl
    judge            completions + examples                → verdicts.jsonl
    sequential_test  verdicts on both sides of a contrast  → looks.jsonl

Nothing here says which experiment wants the step: two studies that need the same step share it. Fields that
cannot change a result are named in `identity.NOT_COUNTED`. Raise a class's `VERSION` when the same settings
would now give other results; a data step's code counts by itself.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from dsl.data.source import Columns, References, Source
from dsl.engines import AnyEngine
from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights
from dsl.judges import AnyJudge
from dsl.steps.prompt_forms import PromptForm, TextPrompt
from dsl.steps.stopping import StopWhen
from dsl.steps.training_settings import Adapter, DpoLoss, HeldOut, Training
from dsl.values import Language, Name, StepId, Value


class Step(Value):
    """A node of the plan."""

    kind: str

    @property
    def code(self) -> tuple[str, ...]:
        """The modules that make its rows."""
        return (f"runners.steps.{self.kind}",)

    @property
    def inputs(self) -> tuple[StepId, ...]:
        """The steps whose files this one reads."""
        return ()

    @property
    def affinity(self) -> str:
        """Steps with equal affinity share a loaded model; the empty word needs none."""
        return ""


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


LoadedWeights = Annotated[Weights, AfterValidator(lambda weights: weights.loaded_here)]
"""Weights as transformers loads them to train: it is the same training, whichever engine asks the result."""

Validation = HeldOut | tuple[StepId, ...]
"""Rows that a training is evaluated on: some of its own, or those of data steps in the order of its
prompts."""


def _steps_of(validation: Validation | None) -> tuple[StepId, ...]:
    return validation if isinstance(validation, tuple) else ()


class TuningStep(Step):
    """Base of the steps that train weights on rows."""

    weights: LoadedWeights
    rows: int | None = None
    """Rows over all languages, drawn by seed and nested: fewer rows are a part of more."""
    prompts: tuple[PromptForm, ...]
    """Prompt forms of the data steps' rows, in their order; answers are asked for with the same form."""
    adapter: Adapter | None
    """None trains all weights."""
    training: Training
    validation: Validation | None = None
    """The rows that it is evaluated on meanwhile."""
    seed: int

    @property
    def affinity(self) -> str:
        return self.weights.affinity()


class SftStep(TuningStep):
    """Train a model on (instruction, response) pairs: completion-only loss, the end of sequence inside it."""

    VERSION: ClassVar[int] = 2
    kind: Literal["sft"] = "sft"
    train: tuple[StepId, ...]

    @property
    def inputs(self) -> tuple[StepId, ...]:
        return (*self.train, *_steps_of(self.validation))


class ReferenceLogpsStep(Step):
    """The reference model's log-probabilities of preference pairs, which DPO needs.

    They hang on the reference, the pairs and how these are put, and on no setting of the training: steps that
    differ in `beta`, loss or learning rate share them.
    """

    VERSION: ClassVar[int] = 2
    kind: Literal["reference_logps"] = "reference_logps"
    weights: LoadedWeights
    policy: StepId | None = None
    """The sft or select step whose result is the reference; None is the weights themselves."""
    pairs: tuple[StepId, ...]
    rows: int | None = None
    """The pairs that a dpo step draws; None is all."""
    prompts: tuple[PromptForm, ...]
    """Prompt forms of the rows of each step in `pairs`, in the same order."""
    max_length: int
    bf16: bool
    """As in training: DPO compares the policy's log-probabilities with these."""
    seed: int | None = None
    """Seed of the rows drawn; None where all are."""
    validation: Validation | None = None
    """The pairs that a dpo step is evaluated on, where they are not among the others."""

    @property
    def inputs(self) -> tuple[StepId, ...]:
        before = (self.policy,) if self.policy else ()
        return (*before, *self.pairs, *_steps_of(self.validation))

    @property
    def affinity(self) -> str:
        return self.weights.affinity()


class DpoStep(DpoLoss, TuningStep):
    """Train a policy on (chosen, rejected) pairs, held near a frozen reference model (arXiv 2305.18290)."""

    VERSION: ClassVar[int] = 2
    kind: Literal["dpo"] = "dpo"
    policy: StepId | None = None
    """The sft or select step whose result is the policy; None starts from the weights themselves."""
    ref_logps: StepId | None = None
    """The reference_logps step that has the frozen model's log-probabilities; None computes them again at
    each training step."""
    pairs: tuple[StepId, ...]

    @property
    def inputs(self) -> tuple[StepId, ...]:
        before = (step for step in (self.policy, self.ref_logps) if step)
        return (*before, *self.pairs, *_steps_of(self.validation))


class SelectStep(Step):
    """Choose among trainings that differ in a setting the one that did best on its validation rows."""

    VERSION: ClassVar[int] = 1
    kind: Literal["select"] = "select"
    trials: dict[str, StepId]
    """The values that were tried, as `training.learning_rate: 0.0001` -> the step that trained with them."""

    @property
    def inputs(self) -> tuple[StepId, ...]:
        return tuple(self.trials.values())


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
    """The sft, dpo or select step whose adapter or weights are used on top."""
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
    | SelectStep
    | GenerateStep
    | JudgeStep
    | SequentialTestStep,
    Field(discriminator="kind"),
]
