"""`orpo`: Odds Ratio Preference Optimisation (arXiv 2403.07691) on pairs.

As in TRL, the log-likelihood that is learnt beside the odds ratio is that of prompt and chosen answer.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from dsl.steps.training_steps import OrpoStep
from runners.models.loading import Loaded
from runners.store.step_io import StepContext, StepResult
from runners.training.tune import tune
from runners.training.without_reference import importing_experimental, pairs, trainer_of


def run(step: OrpoStep, context: StepContext, out: Path) -> StepResult:
    """Train as `tune` does."""
    return tune(step, context, out, pairs, partial(_trainer, step))


def _trainer(
    step: OrpoStep, loaded: Loaded, arguments: dict[str, Any], others: dict[str, Any]
) -> tuple[Any, None]:
    with importing_experimental():
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    return trainer_of(ORPOTrainer, ORPOConfig, step, loaded, arguments, others, beta=step.beta), None
