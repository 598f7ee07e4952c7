"""The steps that train weights, those that read a reference model first, and those that choose among
trainings."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from dsl.engines.transformers import Weights
from dsl.steps.losses import OF_A_BATCH, DpoLoss, KtoLoss, OrpoLoss, SimpoLoss
from dsl.steps.prompt_forms import PromptForm
from dsl.steps.step import Step
from dsl.steps.training_settings import Adapter, HeldOut, Training
from dsl.values import StepId

LoadedWeights = Annotated[Weights, AfterValidator(lambda weights: weights.loaded_here)]
"""Weights as transformers loads them to train: it is the same training, whichever engine asks the result."""

Validation = HeldOut | tuple[StepId, ...]
"""Rows that a training is evaluated on: some of its own, or those of data steps in the order of its
prompts."""


def _steps_of(validation: Validation | None) -> tuple[StepId, ...]:
    return validation if isinstance(validation, tuple) else ()


class TuningStep(Step):
    """Base of the steps that train weights on rows."""

    ANSWERS: ClassVar[tuple[str, ...]]
    """Fields of a row that are learnt from."""
    IN_PROCESSES: ClassVar[bool] = False
    """Several processes may train together, each with a part of every batch that may be split."""

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
    def splits_batches(self) -> bool:
        """Test whether a batch may be split in two that are accumulated: no row is read beside another of
        its batch."""
        return True

    @property
    def data(self) -> tuple[StepId, ...]:
        """The data steps whose rows are trained on."""
        raise NotImplementedError  # each training names its rows in words of its own

    @property
    def inputs(self) -> tuple[StepId, ...]:
        return (*self.data, *_steps_of(self.validation))

    @property
    def affinity(self) -> str:
        return self.weights.affinity()


class SftStep(TuningStep):
    """Train a model on (instruction, response) pairs: completion-only loss, the end of sequence inside it."""

    VERSION: ClassVar[int] = 2
    ANSWERS = ("response",)
    IN_PROCESSES = True

    kind: Literal["sft"] = "sft"
    train: tuple[StepId, ...]

    @property
    def data(self) -> tuple[StepId, ...]:
        return self.train


class PreferenceStep(TuningStep):
    """Base of the steps that train a policy on (chosen, rejected) pairs."""

    ANSWERS = ("chosen", "rejected")

    policy: StepId | None = None
    """The sft or select step whose result is the policy; None starts from the weights themselves."""
    pairs: tuple[StepId, ...]

    @property
    def data(self) -> tuple[StepId, ...]:
        return self.pairs

    @property
    def inputs(self) -> tuple[StepId, ...]:
        return (*((self.policy,) if self.policy else ()), *super().inputs)


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
    """The precision of the training: DPO compares the policy's log-probabilities with these."""
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


class DpoStep(DpoLoss, PreferenceStep):
    """Train a policy on pairs, held near a frozen reference model (arXiv 2305.18290)."""

    VERSION: ClassVar[int] = 2
    IN_PROCESSES = True

    kind: Literal["dpo"] = "dpo"
    ref_logps: StepId | None = None
    """The reference_logps step that has the frozen model's log-probabilities; None computes them again at
    each training step."""

    @property
    def splits_batches(self) -> bool:
        return OF_A_BATCH.isdisjoint(self.loss_type)

    @property
    def inputs(self) -> tuple[StepId, ...]:
        before = tuple(step for step in (self.policy, self.ref_logps) if step)
        return (*before, *self.pairs, *_steps_of(self.validation))


class KtoStep(KtoLoss, PreferenceStep):
    """Train a policy on answers one by one, those chosen as desirable and those rejected as undesirable, held
    near the policy as training begins (arXiv 2402.01306)."""

    VERSION: ClassVar[int] = 1
    kind: Literal["kto"] = "kto"

    @property
    def splits_batches(self) -> bool:
        return False


class OrpoStep(OrpoLoss, PreferenceStep):
    """Train a policy on pairs by their odds ratio and the chosen answers' likelihood at once, without a
    reference model (arXiv 2403.07691)."""

    VERSION: ClassVar[int] = 1
    kind: Literal["orpo"] = "orpo"


class SimpoStep(SimpoLoss, PreferenceStep):
    """Train a policy on pairs by their mean log-probabilities, without a reference model (arXiv
    2405.14734)."""

    VERSION: ClassVar[int] = 1
    kind: Literal["simpo"] = "simpo"


_TRAININGS: tuple[type[TuningStep], ...] = (SftStep, DpoStep, KtoStep, OrpoStep, SimpoStep)
TRAININGS = tuple(step.model_fields["kind"].default for step in _TRAININGS)
"""Kinds of the steps that train weights."""
IN_PROCESSES = tuple(step.model_fields["kind"].default for step in _TRAININGS if step.IN_PROCESSES)
IN_ONE_PROCESS = frozenset(TRAININGS) - frozenset(IN_PROCESSES)
"""Those of them that several processes can share, and those that they cannot."""


class SelectStep(Step):
    """Choose among trainings that differ in a setting the one that did best on its validation rows."""

    VERSION: ClassVar[int] = 1
    kind: Literal["select"] = "select"
    trials: dict[str, StepId]
    """The values that were tried, as `training.learning_rate: 0.0001` -> the step that trained with them."""

    @property
    def inputs(self) -> tuple[StepId, ...]:
        return tuple(self.trials.values())
