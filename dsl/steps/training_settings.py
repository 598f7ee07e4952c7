"""Settings of training, spelled as PEFT and TRL spell them."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.values import Value

EVALUATION = ("eval_steps", "load_best_model_at_end", "metric_for_best_model", "early_stopping_patience")
"""Settings of training that say nothing without `validation`."""


class HeldOut(Value):
    """Rows for validation that are held out of the training rows, by item in all languages together."""

    rows: float = Field(gt=0, lt=1)
    """Share of the training rows."""


class Adapter(Value):
    """LoRA, as `peft.LoraConfig` names it."""

    r: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    use_rslora: bool = False
    """Scale what is learnt by `lora_alpha / sqrt(r)` and not by `lora_alpha / r`, which keeps a large `r`
    from learning less (arXiv 2312.03732)."""
    use_dora: bool = False
    """Learn the magnitude of each weight apart from its direction (arXiv 2402.09353); slower to train."""
    modules_to_save: tuple[str, ...] = ()
    """Modules that are trained whole and kept with the adapter, as `[embed_tokens, lm_head]`. The model is in
    float32 then while it is trained, whatever its `dtype`."""
    ensure_weight_tying: bool = False
    """Train input and output embedding as one weight where the model has them as one and `modules_to_save`
    names one of them. Without it, each is trained by itself, and one that is not named stays as it was."""
    quantization: Literal["nf4"] | None = None
    """Train on weights in 4 bits, so that a larger model fits into a GPU's memory (QLoRA, arXiv 2305.14314).
    What was learnt is asked on the weights in their own `dtype`. Needs a GPU and
    `pip install "xp-lab[qlora]"`."""

    @model_validator(mode="after")
    def _whole_modules_are_whole(self) -> Self:
        if self.quantization is not None and self.modules_to_save:
            raise ValueError(
                "on weights in 4 bits all that is trained is in bfloat16, where small updates of whole"
                " modules are rounded away. Leave `modules_to_save` or `quantization` out"
            )
        return self


class Training(Value):
    """Arguments of TRL's configurations (`trl.SFTConfig`, `trl.DPOConfig` …) that change a result."""

    HINTS: ClassVar = {
        "eval_strategy": "A method with `validation` is evaluated by steps; `eval_steps` says how often.",
    }

    learning_rate: float = Field(default=2e-4, gt=0)
    max_steps: int = Field(default=-1, ge=-1)
    """Optimiser steps; -1 counts `num_train_epochs` instead."""
    num_train_epochs: float = Field(default=1.0, gt=0)
    per_device_train_batch_size: int = Field(default=4, ge=1)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int = Field(default=1024, ge=8)
    """Tokens of prompt and answer together; longer rows are cut and counted."""
    train_sampling_strategy: Literal["random", "group_by_length"] = "random"
    """The order of the rows: as chance has it, or with rows of about the same length together, so that little
    is padded."""
    padding_free: bool = False
    """Rows of a batch one behind the other instead of beside each other, so that nothing is padded. For sft;
    best with `flash_attention_2`."""
    assistant_only_loss: bool = False
    """For sft on conversations: learn all of their answers, and not the last one alone."""
    bf16: bool = False
    """Compute in bfloat16 where that is safe, with weights as they are (autocast), on a GPU or processor that
    has it; elsewhere in float32. The step's facts say which."""
    pure_bf16: bool = False
    """With `adapter: none`: train bfloat16 weights as they are, with half the memory. An update below about
    1/256 of a weight is rounded away; without this, all weights are trained in float32 whatever their
    `dtype`."""
    gradient_checkpointing: bool = False
    logging_steps: int = Field(default=1, ge=1)
    save_steps: int = Field(default=50, ge=1)
    """Optimiser steps between checkpoints, from which a killed run goes on. With `load_best_model_at_end` a
    method with `validation` has one at each evaluation."""
    eval_steps: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Optimiser steps between evaluations on `validation` rows, or below 1 a share of all steps. The last one
    is evaluated, too."""
    load_best_model_at_end: bool = True
    """Keep the weights of the evaluation that was best, and not the last ones."""
    metric_for_best_model: Literal["eval_loss", "eval_rewards/accuracies"] = "eval_loss"
    """The measure of the best: the loss, or with pairs the share of them whose chosen answer has the higher
    reward, which can be compared where `beta` differs."""
    early_stopping_patience: int | None = Field(default=None, ge=1)
    """Evaluations without a better one after which training stops. Without it, it goes on to the end."""

    report_to: Literal["trackio", "wandb"] | None = None
    """Send the metrics to trackio or W&B, too, as they are logged. The package's own environment variables
    say to which project, and what leaves the machine. Not part of the identity."""

    def as_trl(self) -> dict[str, object]:
        """Keyword arguments that all of TRL's configurations take, but those of validation."""
        left_out = {"pure_bf16", "padding_free", "assistant_only_loss", *EVALUATION}
        return {**self.model_dump(exclude=left_out), "report_to": self.report_to or "none"}

    def weights(self, weights: Weights, adapter: Adapter | None) -> Weights:
        """The weights in the precision in which they are trained.

        Float32 where all of them are trained, or whole modules, since half-precision ones round small updates
        away. Raises DataError where `pure_bf16` meets weights that are not bfloat16.
        """
        if adapter is not None and not adapter.modules_to_save:
            return weights
        if self.pure_bf16 and weights.dtype != "bfloat16":
            raise DataError(
                f"`pure_bf16` trains bfloat16 weights as they are; those of {weights.source} have `dtype:"
                f" {weights.dtype}`"
            )
        return weights if self.pure_bf16 else weights.model_copy(update={"dtype": "float32"})
