-- One row per study, model, method, languages tuned on, seed, training step, optimiser step and metric.
with

stages as (
    select distinct
        cells.experiment,
        cells.model,
        cells.method,
        cells.train_languages,
        cells.seed,
        cell_training.position,
        cell_training.step_id,
        cell_training.position = max(cell_training.position) over (partition by cells.cell_id) as is_last
    from cells
    join cell_training on cell_training.cell_id = cells.cell_id
)

select
    stages.experiment,
    stages.model,
    stages.method,
    stages.train_languages,
    stages.seed,
    stages.position,
    stages.is_last,
    stages.step_id,
    split_part(stages.step_id, '-', 1) as kind,
    train_metrics.global_step,
    train_metrics.name,
    train_metrics.value
from stages
join train_metrics on train_metrics.step_id = stages.step_id
