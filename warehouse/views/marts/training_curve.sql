-- One row per model, method, languages tuned on, seed, training step, optimiser step and metric. A method
-- that trains on top of another one's result shows both stages; `is_last` is true for its own. Where values
-- were tried, `varied` names them, and `is_chosen` is true for the training that is asked.
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
    value
from training_metrics
order by all
