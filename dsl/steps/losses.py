"""Losses of preference tuning, spelled as TRL spells them: what a method and its step share."""

from typing import Literal

from pydantic import Field

from dsl.values import Value

LossType = Literal[
    "sigmoid",
    "hinge",
    "ipo",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
]
"""The losses of `trl.DPOConfig`."""
OF_A_BATCH: frozenset[LossType] = frozenset({"aot", "aot_unpaired"})
"""Those that sort the pairs of a batch, so that its size is a setting of the loss."""


class DpoLoss(Value):
    """The loss of Direct Preference Optimisation, as `trl.DPOConfig` names it."""

    reference: Literal["policy", "base"] = "policy"
    """The frozen model: the policy as training begins, or the untrained weights below an sft policy."""
    beta: float = Field(default=0.1, gt=0)
    """Strength with which the policy is held to the reference; larger stays closer."""
    loss_type: tuple[LossType, ...] = Field(default=("sigmoid",), min_length=1)
    """One loss of TRL's `DPOConfig` or several, added up: `[sigmoid, sft]` keeps a base model from
    degenerating."""


class KtoLoss(Value):
    """The loss of Kahneman-Tversky Optimisation, as `trl.KTOConfig` names it."""

    beta: float = Field(default=0.1, gt=0)
    """Strength with which the policy is held to the reference, the policy as training begins; larger stays
    closer."""
    desirable_weight: float = Field(default=1.0, gt=0)
    """Factor on the losses of chosen answers."""
    undesirable_weight: float = Field(default=1.0, gt=0)
    """Factor on the losses of rejected answers."""


class OrpoLoss(Value):
    """The loss of Odds Ratio Preference Optimisation, as TRL's `ORPOConfig` names it."""

    beta: float = Field(default=0.1, gt=0)
    """Weight of the odds ratio beside the log-likelihood of prompt and chosen answer: lambda in the paper."""


class SimpoLoss(Value):
    """The loss of Simple Preference Optimisation, as TRL's `CPOConfig` with `loss_type: simpo` names it.

    The defaults are those of the paper's experiments on base models, and not TRL's, which are of CPO.
    """

    beta: float = Field(default=2.0, gt=0)
    """Scale of the rewards, which are mean log-probabilities of a token."""
    simpo_gamma: float = Field(default=1.0, ge=0)
    """Margin by which the chosen answer's reward shall lie above the rejected one's."""
    cpo_alpha: float = Field(default=0.0, ge=0)
    """Weight of the chosen answer's log-likelihood beside it; 0 is SimPO, TRL's default of 1 is CPO-SimPO."""
