"""`simpo`: Simple Preference Optimisation (arXiv 2405.14734) on pairs, by TRL's trainer of CPO."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from dsl.steps.training_steps import SimpoStep
from runners.models.loading import Loaded
from runners.store.step_io import StepContext, StepResult
from runners.training.tune import tune
from runners.training.without_reference import importing_experimental, pairs, trainer_of


def run(step: SimpoStep, context: StepContext, out: Path) -> StepResult:
    """Train as `tune` does."""
    return tune(step, context, out, pairs, partial(_trainer, step))


def _trainer(
    step: SimpoStep, loaded: Loaded, arguments: dict[str, Any], others: dict[str, Any]
) -> tuple[Any, None]:
    with importing_experimental():
        from trl.experimental.cpo import CPOConfig, CPOTrainer

    loss = {
        "loss_type": "simpo",
        "beta": step.beta,
        "simpo_gamma": step.simpo_gamma,
        "cpo_alpha": step.cpo_alpha,
    }
    return trainer_of(CPOTrainer, CPOConfig, step, loaded, arguments, others, **loss), None
