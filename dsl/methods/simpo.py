"""Simple Preference Optimisation (arXiv 2405.14734): mean log-probabilities as rewards, without a reference
model."""

from typing import Literal

from dsl.methods.preference import PreferenceMethod
from dsl.steps.losses import SimpoLoss
from dsl.steps.training_settings import Training
from dsl.steps.training_steps import SimpoStep


class Simpo(SimpoLoss, PreferenceMethod):
    """`method: simpo`."""

    STEP = SimpoStep
    LOSS = SimpoLoss

    method: Literal["simpo"] = "simpo"
    training: Training = Training(learning_rate=1e-6)
