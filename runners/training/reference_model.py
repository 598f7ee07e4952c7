"""Frozen model that a policy is held near, where its log-probabilities are computed as training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.steps.training_steps import PreferenceStep
from runners.models.loading import load_to_train
from runners.store.step_io import StepContext
from runners.training.tune import policy_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def reference_model(
    step: PreferenceStep, context: StepContext, *, is_policy: bool
) -> tuple[PreTrainedModel | None, str]:
    """Return the frozen model, None where it is the policy with its adapter off, and its name in words.

    `is_policy`: it is the policy as training begins, and not the untrained weights below it.
    """
    name = name_of_reference(step, is_policy=is_policy)
    if step.adapter is not None and (is_policy or step.policy is None):
        return None, f"{name} (the adapter switched off)"
    weights = step.training.weights(step.weights, step.adapter)
    below = policy_of(step, context) if is_policy else None
    frozen = load_to_train(weights, below, context.cache, is_frozen=True, is_sharded=context.fsdp)
    return frozen.model, f"{name} (a frozen model of its own)"


def name_of_reference(step: PreferenceStep, *, is_policy: bool) -> str:
    """Return a reference model's name in words."""
    if step.policy is None or not is_policy:
        return "the untrained weights"
    return f"the policy as training began, {step.policy} on the weights"
