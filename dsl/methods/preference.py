"""Base of the methods that learn from preferences: pairs of a chosen and a rejected answer."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

from pydantic import model_validator

from dsl.engines.transformers import Weights
from dsl.methods.base import Builder, CellRequest, CellSteps, MethodBase
from dsl.methods.on_policy import OnPolicyPairs
from dsl.methods.parts import Model
from dsl.methods.tuning import TuningMethod, untrainable
from dsl.steps.training_steps import PreferenceStep, TuningStep
from dsl.values import Name, StepId, Value, unvalidated


class PreferenceMethod(TuningMethod):
    """Settings that methods on pairs share, and the steps they make from them."""

    STEP: ClassVar[type[PreferenceStep]]
    LOSS: ClassVar[type[Value]]
    """Settings that method and step have alike."""
    HAS_ACCURACIES: ClassVar[bool] = True
    """The trainer tells in how many pairs the chosen answer has the higher reward."""

    policy: Name = "base"
    """The model that training starts from: `base`, `instruct`, or the name of an sft method of the study."""
    pairs: Name | OnPolicyPairs
    """The data set of preferences: `instruction`, `chosen` and `rejected`. Or pairs that the plan makes, of
    answers of the policy's own."""

    @model_validator(mode="before")
    @classmethod
    def _keeps_its_rate(cls, data: Any) -> Any:
        """Lay the method's own learning rate under a `training` that names none."""
        settings = cast(dict[str, Any], data if isinstance(data, dict) else {})
        training = settings.get("training")
        if not isinstance(training, dict):
            return cast(Any, data)
        rate = cls.model_fields["training"].default.learning_rate
        return {**settings, "training": {"learning_rate": rate, **cast(dict[str, Any], training)}}

    @model_validator(mode="after")
    def _trl_has_it(self) -> Self:
        if self.training.padding_free:
            raise ValueError("`padding_free` is for sft: TRL's trainers on preferences pad their batches")
        if self.training.assistant_only_loss:
            raise ValueError("`assistant_only_loss` is for sft: a preference is of the last answer")
        if (
            self.lora is not None
            and self.lora.quantization is not None
            and self.policy not in ("base", "instruct")
        ):
            raise ValueError(
                "what an sft method learnt cannot be merged into weights in 4 bits without rounding it. Leave"
                " `quantization` out, or start from `policy: base`"
            )
        by_loss = self.training.metric_for_best_model == "eval_loss"
        if not by_loss and not self.HAS_ACCURACIES:
            raise ValueError(
                f"`eval_rewards/accuracies` compares the answers of a pair, and {self.method} reads them one"
                " by one. Choose by `eval_loss`"
            )
        if "beta" in self.vary and by_loss:
            remedy = (
                "To `vary` it, choose by `metric_for_best_model: eval_rewards/accuracies`"
                if self.HAS_ACCURACIES
                else "Make each value a method of its own"
            )
            raise ValueError(f"the loss of {self.method} is of another scale with each `beta`. {remedy}")
        return self

    @property
    def loss(self) -> dict[str, Any]:
        """The settings of its loss, by name."""
        return {name: getattr(self, name) for name in self.LOSS.model_fields}

    @property
    def starts_from(self) -> tuple[Name, ...]:
        policy = None if self.policy in ("base", "instruct") else self.policy
        answering = None if isinstance(self.pairs, str) else self.pairs.starts_from
        return tuple(dict.fromkeys(name for name in (policy, answering) if name is not None))

    def why_not_applicable(self, model: Model, methods: Mapping[Name, MethodBase]) -> str | None:
        found: list[str | None] = []
        if self.policy == "base" or self.policy == "instruct":
            found.append(untrainable(model, self.policy))
        if not isinstance(self.pairs, str):
            found.append(self.pairs.why_not_applicable(model))
        # one that learns from pairs, itself perhaps, is refused as a start
        below = [methods[name] for name in self.starts_from]
        found += [
            one.why_not_applicable(model, methods) for one in below if not isinstance(one, PreferenceMethod)
        ]
        return next(filter(None, found), None)

    def required_columns(self) -> tuple[tuple[str, Name, tuple[str, ...]], ...]:
        needed = ("instruction", "chosen", "rejected")
        evaluated = (("validation", self.validation, needed),) if isinstance(self.validation, str) else ()
        learnt = (
            ("pairs", self.pairs, needed)
            if isinstance(self.pairs, str)
            else ("pairs.prompts", self.pairs.prompts, ("instruction",))
        )
        return (learnt, *evaluated)

    def varied(self, step: TuningStep) -> TuningStep:
        return super().varied(step).model_copy(update=self.loss)

    def steps_for(self, request: CellRequest, build: Builder) -> CellSteps:
        if self.policy == "base" or self.policy == "instruct":
            before: tuple[StepId, ...] = ()
            weights = build.weights(request.model, self.policy)
        else:
            below = build.trained(request, self.policy)
            before, weights = below.train, below.generate.model
        assert isinstance(weights, Weights)
        assert request.seed is not None
        pairs, made = self._pairs(request, build)
        step = unvalidated(
            self.STEP,
            weights=weights.loaded_here,
            policy=before[-1] if before else None,
            pairs=pairs,
            rows=self.rows,
            prompts=self.train_prompts(request, build),
            adapter=self.lora,
            training=self.training,
            validation=self.validation_rows(request, build),
            seed=request.seed,
            **self.loss,
        )
        step, reference = self.with_reference(step, build)
        return self.tuned_steps(request, build, step, tuple(dict.fromkeys((*before, *made, *reference))))

    def _pairs(self, request: CellRequest, build: Builder) -> tuple[tuple[StepId, ...], tuple[StepId, ...]]:
        """Return the steps that have the pairs, one a training language, and those that are made for them."""
        if isinstance(self.pairs, str):
            return build.all_examples(self.pairs, request.train_languages), ()
        made = [
            self.pairs.steps_for(request, language, prompt, build)
            for language, prompt in zip(
                request.train_languages, self.train_prompts(request, build), strict=True
            )
        ]
        return tuple(steps[-1] for steps in made), tuple(step for steps in made for step in steps)

    def with_reference(
        self, step: PreferenceStep, build: Builder
    ) -> tuple[PreferenceStep, tuple[StepId, ...]]:
        """Return the training step, and the steps that read its reference model first: here none."""
        return step, ()
