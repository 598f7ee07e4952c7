"""Direct Preference Optimisation (arXiv 2305.18290), over base weights, over an sft method's result, or over
the instruct version."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from dsl.engines.transformers import Weights
from dsl.methods.base import (
    AnyPrompt,
    Builder,
    CellRequest,
    CellSteps,
    ChatTemplateKwargs,
    MethodBase,
    TrainLanguages,
    check_precision,
    train_variants,
    untrainable,
)
from dsl.methods.parts import Model
from dsl.steps.steps import DpoStep, GenerateStep, LossType, PromptForm, ReferenceLogpsStep
from dsl.steps.training_settings import Adapter, Training
from dsl.values import Language, Name, StepId


class Dpo(MethodBase):
    """`method: dpo`."""

    method: Literal["dpo"] = "dpo"
    policy: Name = "base"
    """What training starts from: `base`, `instruct`, or the name of an sft method of the study."""
    reference: Literal["policy", "base"] = "policy"
    """The frozen model: the policy as training begins, or the untrained weights below an sft policy."""
    precompute_ref_log_probs: bool = True
    """Whether the frozen model reads every pair once, in a step of its own that other methods and seeds
    share, or the pairs of each batch as training goes on: less work for one run that sees a small part of the
    pairs."""
    pairs: Name
    """The data set of preferences: `instruction`, `chosen` and `rejected`."""
    train_languages: TrainLanguages = "each"
    rows: int | None = Field(default=None, ge=1)
    """How many pairs, over all languages; drawn by seed and nested. Without it, all."""
    beta: float = Field(default=0.1, gt=0)
    """How strongly the policy is held to the reference; larger stays closer."""
    loss_type: tuple[LossType, ...] = Field(default=("sigmoid",), min_length=1)
    """One loss of TRL's `DPOConfig` or several, added up: `[sigmoid, sft]` keeps a base model from
    degenerating."""
    prompt: AnyPrompt = "chat"
    """The prompt that is trained on and asked with."""
    num_fewshot: int = Field(default=0, ge=0, le=3)
    """Worked examples in a text prompt."""
    chat_template_kwargs: ChatTemplateKwargs = {}
    """As `{enable_thinking: false}`, in training and when asked."""
    adapter: Adapter | Literal["none"] = Adapter()
    """LoRA settings; `none` trains all weights."""
    training: Training = Training(learning_rate=5e-6)

    @model_validator(mode="after")
    def _trl_has_it(self) -> Self:
        if self.training.padding_free:
            raise ValueError(
                "`padding_free` is for sft: TRL's DPO pads its batches. `train_sampling_strategy:"
                " group_by_length` pads less"
            )
        check_precision(self.adapter, self.training)
        return self

    @property
    def is_stochastic(self) -> bool:
        return True

    def variants(self, languages: tuple[Language, ...], asked: Language) -> tuple[tuple[Language, ...], ...]:
        return train_variants(self.train_languages, languages, asked)

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        if self.policy == "base" or self.policy == "instruct":
            return untrainable(model, self.policy)
        return methods[self.policy].why_not_applicable(model, methods)

    def required_columns(self) -> tuple[tuple[str, Name, tuple[str, ...]], ...]:
        return (("pairs", self.pairs, ("instruction", "chosen", "rejected")),)

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        if self.policy == "base" or self.policy == "instruct":
            before: tuple[StepId, ...] = ()
            weights = build.weights(request.model, self.policy)
        else:
            below = build.trained(request, self.policy)
            before, weights = below.train, below.generate.model
        assert isinstance(weights, Weights)
        assert request.seed is not None
        adapter = None if self.adapter == "none" else self.adapter
        policy = before[-1] if before else None
        pairs = tuple(build.examples(self.pairs, language) for language in request.train_languages)
        prompts = tuple(self._prompt(request, build, language) for language in request.train_languages)
        reference = ReferenceLogpsStep(
            weights=self.training.weights(weights, adapter),
            policy=policy if self.reference == "policy" else None,
            pairs=pairs,
            rows=self.rows,
            prompts=prompts,
            max_length=self.training.max_length,
            bf16=self.training.bf16,
            seed=request.seed if self.rows is not None else None,
        )
        ref_logps = build.add(reference) if self.precompute_ref_log_probs else None
        step = DpoStep(
            weights=weights,
            policy=policy,
            reference=self.reference,
            ref_logps=ref_logps,
            pairs=pairs,
            rows=self.rows,
            prompts=prompts,
            beta=self.beta,
            loss_type=self.loss_type,
            adapter=adapter,
            training=self.training,
            seed=request.seed,
        )
        tuned = build.add(step)
        return CellSteps(
            GenerateStep(
                model=weights,
                tuned=tuned,
                examples=build.examples(request.dataset, request.language),
                prompt=self._prompt(request, build, request.language),
                decoding=build.decoding,
                seed=request.seed if build.decoding.is_sampled else None,
            ),
            train=(*before, *((ref_logps,) if ref_logps else ()), tuned),
        )

    def _prompt(self, request: CellRequest, build: Builder, language: Language) -> PromptForm:
        return build.prompt(
            request,
            self.prompt,
            self.num_fewshot,
            language=language,
            chat_template_kwargs=self.chat_template_kwargs,
        )
