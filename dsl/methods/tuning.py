"""Base of the methods that train a model and then ask it with the prompt it was trained on."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dsl.engines.contract import EngineSettings
from dsl.engines.transformers import Weights
from dsl.methods.base import AnyPrompt, Builder, CellRequest, CellSteps, ChatTemplateKwargs, MethodBase
from dsl.methods.parts import Model
from dsl.steps.prompt_forms import PromptForm
from dsl.steps.steps import GenerateStep, TuningStep
from dsl.steps.training_settings import Adapter, Training
from dsl.values import Language, StepId

TrainLanguages = Literal["each", "all"] | Annotated[tuple[Language, ...], Field(min_length=1)]
"""`each`: one model a language, asked in its own. `all`: one model on all of the study's. A list: one model
on these, asked in every language."""


class TuningMethod(MethodBase):
    """Settings that sft and dpo share, and the steps they make from them."""

    train_languages: TrainLanguages = "each"
    rows: int | None = Field(default=None, ge=1)
    """Number of rows (dpo: pairs) over all languages; drawn by seed and nested. Without it, all."""
    prompt: AnyPrompt = "chat"
    """The prompt that is trained on and asked with."""
    num_fewshot: int = Field(default=0, ge=0, le=3)
    """Worked examples in a text prompt."""
    system: bool = False
    """Put the prompt text's system message first in a chat that has none of its own, in training and when
    asked."""
    chat_template_kwargs: ChatTemplateKwargs = {}
    """As `{enable_thinking: false}`, in training and when asked."""
    adapter: Adapter | Literal["none"] = Adapter()
    """LoRA settings; `none` trains all weights."""
    training: Training = Training()

    @model_validator(mode="after")
    def _pure_bf16_needs_all_weights(self) -> Self:
        if self.training.pure_bf16 and self.adapter != "none":
            raise ValueError(
                "`pure_bf16` is for `adapter: none`: an adapter is trained in float32 whatever the weights it"
                " lies on"
            )
        return self

    @model_validator(mode="after")
    def _system_is_of_a_chat(self) -> Self:
        if self.system and self.prompt != "chat":
            raise ValueError("`system` is for `prompt: chat`: a text prompt has its preamble")
        return self

    @property
    def is_stochastic(self) -> bool:
        return True

    @property
    def lora(self) -> Adapter | None:
        """The adapter, or None where all weights are trained."""
        return None if self.adapter == "none" else self.adapter

    @property
    def prompting(self) -> tuple[object, ...]:
        """The settings that decide how questions are put."""
        return self.prompt, self.num_fewshot, self.system, self.chat_template_kwargs

    def variants(self, languages: tuple[Language, ...], asked: Language) -> tuple[tuple[Language, ...], ...]:
        if self.train_languages == "each":
            return ((asked,),)
        return (tuple(sorted(languages if self.train_languages == "all" else self.train_languages)),)

    def train_prompts(self, request: CellRequest, build: Builder) -> tuple[PromptForm, ...]:
        """The prompt forms of the training rows, one a training language."""
        return tuple(self._prompt(request, build, language) for language in request.train_languages)

    def tuned_steps(
        self,
        request: CellRequest,
        build: Builder,
        step: TuningStep,
        before: tuple[StepId, ...] = (),
    ) -> CellSteps:
        """Add a training step and ask its result. `before` are the training steps it builds on."""
        tuned = build.add(step)
        return CellSteps(
            GenerateStep(
                model=step.weights,
                tuned=tuned,
                examples=build.asked(request),
                prompt=self._prompt(request, build, request.language),
                decoding=build.decoding,
                seed=request.seed if build.decoding.is_sampled else None,
            ),
            train=(*before, tuned),
        )

    def _prompt(self, request: CellRequest, build: Builder, language: Language) -> PromptForm:
        return build.prompt(
            request,
            self.prompt,
            self.num_fewshot,
            language=language,
            system=self.system,
            chat_template_kwargs=self.chat_template_kwargs,
        )


def untrainable(model: Model, which: Literal["base", "instruct"]) -> str | None:
    """Return why a model's weights cannot be trained here, or None."""
    weights: EngineSettings | None = getattr(model, which)
    if weights is None:
        return f"it has no `{which}`"
    return (
        None if isinstance(weights, Weights) else f"its `{which}` is not loaded here, so it cannot be trained"
    )
