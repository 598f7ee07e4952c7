"""Odds Ratio Preference Optimisation (arXiv 2403.07691): the chosen answers' likelihood and the preference at
once, without a reference model."""

from typing import Literal

from dsl.methods.preference import PreferenceMethod
from dsl.steps.losses import OrpoLoss
from dsl.steps.training_settings import Training
from dsl.steps.training_steps import OrpoStep


class Orpo(OrpoLoss, PreferenceMethod):
    """`method: orpo`."""

    STEP = OrpoStep
    LOSS = OrpoLoss

    method: Literal["orpo"] = "orpo"
    training: Training = Training(learning_rate=8e-6)
