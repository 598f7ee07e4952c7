"""Base of the methods that train a model and then ask it with the prompt it was trained on."""

from collections.abc import Iterator, Mapping
from itertools import product
from operator import attrgetter
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from dsl.engines.contract import EngineSettings
from dsl.engines.transformers import Weights
from dsl.methods.base import AnyPrompt, Builder, CellRequest, CellSteps, ChatTemplateKwargs, MethodBase
from dsl.methods.parts import Model
from dsl.steps.prompt_forms import PromptForm
from dsl.steps.steps import GenerateStep
from dsl.steps.training_settings import EVALUATION, Adapter, HeldOut, Training
from dsl.steps.training_steps import SelectStep, TuningStep, Validation
from dsl.values import Language, Name, Scalar, StepId, as_written, unvalidated

TrainLanguages = Literal["each", "all"] | Annotated[tuple[Language, ...], Field(min_length=1)]
"""`each`: one model a language, asked in its own. `all`: one model on all of the study's. A list: one model
on these, asked in every language."""


Varied = Literal[
    "training.learning_rate",
    "training.max_steps",
    "training.num_train_epochs",
    "training.per_device_train_batch_size",
    "training.gradient_accumulation_steps",
    "training.lr_scheduler_type",
    "training.warmup_steps",
    "training.weight_decay",
    "training.max_grad_norm",
    "adapter.r",
    "adapter.lora_alpha",
    "adapter.lora_dropout",
    "beta",
]
"""Settings of a method that leave its validation rows, and what is measured on them, as they are."""


class TuningMethod(MethodBase):
    """Settings that all trainings share, and the steps they make from them."""

    train_languages: TrainLanguages = "each"
    rows: int | None = Field(default=None, ge=1)
    """Number of rows (or pairs) over all languages; drawn by seed and nested. Without it, all."""
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
    validation: HeldOut | Name | None = None
    """Rows that are never trained on, to evaluate the model on as it learns: `{rows: 0.1}` holds out a share
    of the training rows, drawn by seed, with their items in all languages; a name is a data set."""
    vary: dict[Varied, Annotated[tuple[Scalar, ...], Field(min_length=2)]] = {}
    """Setting -> values to try, as `{training.learning_rate: [1.0e-4, 5.0e-4]}`. Every combination is
    trained, and the one that does best on the validation rows is asked; no question is put to the others."""

    @model_validator(mode="after")
    def _evaluates_on_something(self) -> Self:
        if self.validation is None and (given := sorted(self.training.model_fields_set & set(EVALUATION))):
            raise ValueError(
                f"`{given[0]}` is of the evaluation on `validation` rows, and this method has none. Hold some"
                " out: `validation: {rows: 0.1}`"
            )
        return self

    @model_validator(mode="after")
    def _can_choose(self) -> Self:
        if not self.vary:
            return self
        if self.validation is None:
            raise ValueError(
                "`vary` chooses on validation rows, and never on the questions. Hold some out: `validation:"
                " {rows: 0.1}`"
            )
        if not self.training.load_best_model_at_end:
            raise ValueError("`vary` compares the best evaluations: `load_best_model_at_end: true`")
        for name, values in self.vary.items():
            if len(set(values)) < len(values):
                raise ValueError(f"`vary` has a value of `{name}` twice")
        list(self.trials())
        return self

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

    def trials(self) -> Iterator[tuple[str, Self]]:
        """Yield each combination of the values in `vary`, in words, and the method that has it.

        The words have settings by name and values as the method has them, however `vary` wrote them.

        Raises ValueError where a value is none of its setting.
        """
        names = sorted(self.vary)
        for combination in product(*(self.vary[name] for name in names)):
            values = dict(zip(names, combination, strict=True))
            settings: dict[str, Any] = self.model_dump(exclude={"vary"}, exclude_unset=True, by_alias=True)
            for name, value in values.items():
                section, _, setting = name.rpartition(".")
                if section == "":
                    settings[setting] = value
                elif settings.get(section) == "none":
                    raise ValueError(f"`vary` names `{name}`, and this method has `{section}: none`")
                else:
                    settings[section] = {**settings.get(section, {}), setting: value}
            try:
                trial = type(self).model_validate(settings)
            except ValidationError as error:
                why = error.errors()[0]["msg"]
                raise ValueError(
                    f"`vary` tries {_in_words(values)}, which this method cannot have: {why}"
                ) from None
            yield _in_words({name: attrgetter(name)(trial) for name in names}), trial

    def validation_rows(self, request: CellRequest, build: Builder) -> Validation | None:
        """The rows to evaluate on, as a training step has them."""
        if not isinstance(self.validation, str):
            return self.validation
        return build.all_examples(self.validation, request.train_languages)

    def varied(self, step: TuningStep) -> TuningStep:
        """Return a step with those of this method's settings that may vary."""
        return step.model_copy(update={"training": self.training, "adapter": self.lora})

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
        """Add a training step, or one for each trial, and ask the result, or the best of them.

        `before` are the training steps it builds on.
        """
        if self.vary:
            trials = {values: build.add(trial.varied(step)) for values, trial in self.trials()}
            before, tuned = (*before, *trials.values()), build.add(SelectStep(trials=trials))
        else:
            tuned = build.add(step)
        return CellSteps(
            unvalidated(
                GenerateStep,
                model=build.asked_with(request.model, step.weights),
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


def _in_words(values: Mapping[Varied, Any]) -> str:
    return ", ".join(f"{name}: {as_written(value)}" for name, value in values.items())


def untrainable(model: Model, which: Literal["base", "instruct"]) -> str | None:
    """Return why a model's weights cannot be trained here, or None."""
    weights: EngineSettings | None = getattr(model, which)
    if weights is None:
        return f"it has no `{which}`"
    if not isinstance(weights, Weights):
        return f"its `{which}` is not loaded here, so it cannot be trained"
    return (
        None if weights.tuned_elsewhere is None else f"its `{which}` is asked with {weights.tuned_elsewhere}"
    )
