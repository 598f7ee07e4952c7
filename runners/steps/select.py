"""`select`: choose among trainings the one that did best on its validation rows, and take its weights."""

from pathlib import Path

from dsl.data.records import TrainingFacts, Trial
from dsl.errors import DataError
from dsl.steps.steps import SelectStep
from runners.store.step_io import StepContext, StepResult, rewrite_rows
from runners.training.trainer import FACTS, link_weights

TRIALS = "trials.jsonl"


def run(step: SelectStep, context: StepContext, out: Path) -> StepResult:
    """Write `trials.jsonl`, and the chosen step's weights under the names that they have there.

    Of equally good ones it chooses the first by the words of its values.
    """
    tried = [_trial(trial, varied, context[trial]) for varied, trial in sorted(step.trials.items())]
    is_loss = tried[0].metric_for_best_model.endswith("loss")  # as transformers tells
    best = min(tried, key=lambda trial: trial.best_metric if is_loss else -trial.best_metric)
    link_weights(context[best.trial_id], out)
    rewrite_rows(out / TRIALS, [trial.model_copy(update={"is_chosen": trial == best}) for trial in tried])
    return StepResult(
        n_rows=len(tried), facts={"n_trials": len(tried), **best.model_dump(exclude={"is_chosen"})}
    )


def _trial(step_id: str, varied: str, folder: Path) -> Trial:
    facts = TrainingFacts.model_validate_json((folder / FACTS).read_bytes())
    if facts.metric_for_best_model is None or facts.best_metric is None:
        raise DataError(f"{step_id} was not evaluated on validation rows. Plan the study again")
    assert facts.best_global_step is not None
    assert facts.n_validation_rows is not None
    return Trial(
        trial_id=step_id,
        varied=varied,
        metric_for_best_model=facts.metric_for_best_model,
        best_metric=facts.best_metric,
        best_global_step=facts.best_global_step,
        n_validation_rows=facts.n_validation_rows,
        is_chosen=False,
    )
