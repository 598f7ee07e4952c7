"""Kahneman-Tversky Optimisation (arXiv 2402.01306): learns from answers one by one, each desirable or
undesirable.

A pair is two of its rows: the chosen answer is desirable, the rejected one undesirable. They come in one
random order, made by seed.
"""

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from dsl.methods.preference import PreferenceMethod
from dsl.steps.losses import KtoLoss
from dsl.steps.training_settings import Training
from dsl.steps.training_steps import KtoStep


class Kto(KtoLoss, PreferenceMethod):
    """`method: kto`. Each pair of `pairs` is two rows: its chosen answer, as desirable, and its rejected one,
    as undesirable."""

    HINTS: ClassVar = {
        "train": "It takes `pairs`, of `chosen` and `rejected`. Of unpaired rows `sft` can learn those whose"
        " label is true: `where: {label: true}` beside the path keeps them.",
    }
    STEP = KtoStep
    LOSS = KtoLoss
    HAS_ACCURACIES = False

    method: Literal["kto"] = "kto"
    training: Training = Training(learning_rate=5e-6)

    @model_validator(mode="after")
    def _batches_have_neighbours(self) -> Self:
        if self.training.per_device_train_batch_size == 1:
            raise ValueError(
                "kto reads each prompt also with the answer to another of its batch:"
                " `per_device_train_batch_size` of 2 or more"
            )
        if self.training.train_sampling_strategy != "random":
            raise ValueError(
                "`train_sampling_strategy` is not for kto: its rows stay in one random order, since each is"
                " read beside its neighbours"
            )
        return self
