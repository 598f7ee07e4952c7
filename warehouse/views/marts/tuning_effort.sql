-- One row per study, model and method: what its answers took to prepare, so that methods can be compared
-- at equal effort. Trainings (those that it starts from included), how many values were tried where that
-- was most, how many of the trainings diverged, optimiser steps, tokens read in them, seconds of training, of
-- its reference's log-probabilities and of pairs that were made for it, validation rows of one training, and
-- worked examples in its prompts. `n` is its cells.
with

read_tokens as (
    select step_id, max(value)::bigint as n_tokens
    from training_metrics
    where name = 'num_tokens'
    group by step_id
),

training as (
    select
        behind.experiment,
        behind.model,
        behind.method,
        count(*) filter (where behind.kind in ('sft', 'dpo', 'kto', 'orpo', 'simpo')) as n_trainings,
        count(behind.facts ->> '$.diverged_at_step') as n_diverged,
        sum((behind.facts ->> '$.global_step')::bigint) as n_optimiser_steps,
        sum(read_tokens.n_tokens)::bigint as n_tokens,
        sum(behind.seconds) as seconds,
        max(case when behind.kind <> 'select' then (behind.facts ->> '$.n_validation_rows')::bigint end)
            as n_validation_rows,
        max(coalesce((behind.facts ->> '$.n_trials')::bigint, 1)) as n_tried
    from tuning_steps as behind
    left join read_tokens on read_tokens.step_id = behind.step_id
    group by all
),

asked as (
    select experiment, model, method, max(num_fewshot) as num_fewshot, count(*) as n
    from asked_cells
    group by all
)

select
    asked.experiment,
    asked.model,
    asked.method,
    coalesce(training.n_trainings, 0) as n_trainings,
    training.n_tried,
    coalesce(training.n_diverged, 0) as n_diverged,
    training.n_optimiser_steps,
    training.n_tokens,
    training.seconds,
    training.n_validation_rows,
    asked.num_fewshot,
    asked.n
from asked
left join training
    on
        training.experiment = asked.experiment
        and training.model = asked.model
        and training.method = asked.method
order by all
