-- One row per model, method, languages tuned on, seed, training step, optimiser step and metric. A method
-- that trains on top of another one's result shows both stages; `is_last` is true for its own. Where values
-- were tried, `varied` names them, and `is_chosen` is true for the training that is asked.
-- `diverged_at_step` is the optimiser step at which its loss was no longer finite, if any; the best weights
-- before it were kept.
select
    experiment,
    model,
    method,
    train_languages,
    seed,
    position,
    is_last,
    kind,
    step_id,
    varied,
    is_chosen,
    global_step,
    name,
    value,
    diverged_at_step
from training_metrics
order by all
