-- One row per study, model, method, languages tuned on, seed, training step, optimiser step and metric. Of
-- several trainings that values were tried with, all have their rows; `is_chosen` is true for the best of
-- them and for a training without others. `diverged_at_step` is the optimiser step at which the loss was no
-- longer finite, where the best weights before it were kept.
with

selections as (
    select cell_training.cell_id, cell_training.position, trials.trial_id, trials.varied, trials.is_chosen
    from trials
    join cell_training on cell_training.step_id = trials.step_id
),

stages as (
    select distinct
        cells.experiment,
        cells.model,
        cells.method,
        cells.train_languages,
        cells.seed,
        coalesce(selections.position, cell_training.position) as position,
        cell_training.step_id,
        selections.varied,
        coalesce(selections.is_chosen, true) as is_chosen,
        coalesce(selections.position, cell_training.position)
        = max(cell_training.position) over (partition by cells.cell_id) as is_last
    from cells
    join cell_training on cell_training.cell_id = cells.cell_id
    left join selections
        on selections.cell_id = cells.cell_id and selections.trial_id = cell_training.step_id
    where not cells.is_replicate
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
    stages.varied,
    stages.is_chosen,
    train_metrics.global_step,
    train_metrics.name,
    train_metrics.value,
    (steps.facts ->> '$.diverged_at_step')::bigint as diverged_at_step
from stages
join train_metrics on train_metrics.step_id = stages.step_id
join steps on steps.step_id = stages.step_id
