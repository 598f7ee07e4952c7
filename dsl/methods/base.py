"""Base of every method: a recipe that turns one cell into steps.

The builder hands it data, prompts and weights; it returns the answers' step.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import AfterValidator

from dsl.data.rows import Rows
from dsl.data.source import Columns
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.transformers import Weights
from dsl.methods.parts import DemonstrationsFrom, Model, PromptPath
from dsl.steps.prompt_forms import PromptForm
from dsl.steps.steps import GenerateStep, Judged, Step
from dsl.values import Language, Name, Scalar, StepId, Value

Shipped = Literal["fenced", "urial"]
"""Prompt texts that ship with xp. `fenced`: an answer ends at the fence that closes it, or at a stop string.
`urial`: at a stop string alone, as upstream has it."""

AnyPrompt = Literal["chat"] | Shipped | PromptPath
"""`chat` is the model's chat template, or the project's own where it has none; the others are plain text to
continue."""


class CellRequest(NamedTuple):
    """The coordinates of one cell, as a method sees them."""

    dataset: Name
    language: Language
    model: Name
    train_languages: tuple[Language, ...]
    seed: int | None
    """None where the cell has no chance in it."""
    turn: int | None = None
    """Number, from 1, of the question where a row asks several in turn."""
    replicate: int = 0
    """1 for the same cell asked and judged again (A/A), of which no row is reused."""


class Builder(Protocol):
    """Services a method may use while it makes its steps."""

    languages: tuple[Language, ...]
    decoding: Decoding

    def add(self, step: Step) -> StepId:
        """Put a step into the plan, or find the equal one that is there."""
        ...

    def weights(self, name: Name, which: Literal["base", "instruct"]) -> EngineSettings:
        """One model's weights with their digests filled in."""
        ...

    def asked_with(self, name: Name, weights: Weights) -> EngineSettings:
        """The settings with which a model is asked whose weights are trained: another engine may serve it."""
        ...

    def examples(self, dataset: Name, language: Language) -> StepId: ...
    def all_examples(self, dataset: Name, languages: tuple[Language, ...]) -> tuple[StepId, ...]:
        """The examples of a data set in several languages."""
        ...

    def asked(self, request: CellRequest) -> StepId:
        """The examples of a cell."""
        ...

    def prompt(
        self,
        request: CellRequest,
        prompt: AnyPrompt,
        num_fewshot: int = 0,
        *,
        language: Language | None = None,
        preamble: bool = True,
        demonstrations_language: Language | None = None,
        demonstrations: DemonstrationsFrom | None = None,
        system: bool = False,
        chat_template_kwargs: Mapping[str, Scalar] | None = None,
    ) -> PromptForm:
        """Return the cell's prompt form; `language` where it is not the asked one, as for training rows."""
        ...

    def verdicts(self, judge: Name, answers: StepId, examples: StepId) -> Judged:
        """One judge's verdicts on answers that are none of a cell's."""
        ...

    def recorded(
        self, request: CellRequest, method: "MethodBase", rows: Rows, columns: Columns
    ) -> EngineSettings:
        """The settings that read someone else's answers for one cell of a method."""
        ...

    def trained(self, request: CellRequest, method: Name) -> "CellSteps":
        """The steps of another method for the same cell.

        Where it tunes `each` language by itself, it takes the request's.
        """
        ...


class CellSteps(NamedTuple):
    """A cell's answers, and the training behind them."""

    generate: GenerateStep
    train: tuple[StepId, ...] = ()


def _of_the_template(arguments: dict[str, Scalar]) -> dict[str, Scalar]:
    if given := sorted(arguments.keys() & {"messages", "add_generation_prompt"}):
        raise ValueError(f"{', '.join(given)}: given to every chat template by xp")
    return arguments


ChatTemplateKwargs = Annotated[dict[str, Scalar], AfterValidator(_of_the_template)]
"""Arguments of the model's chat template, under the name that transformers and vLLM have for them."""


class MethodBase(Value):
    """Settings and questions that all methods share."""

    method: str
    noise: bool = False
    """Ask the method again, with another batch size and order, and judges in further calls: the difference of
    a method from itself (A/A) is the study's noise floor. In float32 and greedy it should be zero."""

    def variants(self, languages: tuple[Language, ...], asked: Language) -> tuple[tuple[Language, ...], ...]:
        """The sets of training languages of the models that answer in `asked`.

        Each is sorted; one empty set where nothing is tuned.
        """
        return ((),)

    @property
    def is_stochastic(self) -> bool:
        """Test whether chance enters apart from sampling tokens, so that seeds differ."""
        return False

    @property
    def starts_from(self) -> tuple[Name, ...]:
        """The methods of the study whose results this one trains on, or learns from the answers of."""
        return ()

    def why_not_applicable(self, model: Model, methods: Mapping[Name, "MethodBase"]) -> str | None:
        """Return why this method cannot be tried on a model, or None."""
        return "it has no `base`" if model.base is None else None

    def required_columns(self) -> tuple[tuple[str, Name, tuple[str, ...]], ...]:
        """Data sets the method reads: (setting, data set, columns it needs)."""
        return ()

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        raise NotImplementedError  # every method of the union has its own
