-- One row per model, method, languages tuned on, seed, training step, optimiser step and metric. A method
-- that trains on top of another one's result shows both stages; `is_last` is true for its own.
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
    global_step,
    name,
    value
from training_metrics
order by all
