-- One row per study and step it asks for, done or not: what it took, and whom it serves.
with

-- Of cells whose items are asked in slices, once these are put together.
slices as (
    select
        cells.experiment,
        unnest(from_json(steps.settings -> 'slices', '["varchar"]')) as step_id,
        cells.dataset,
        cells.language,
        cells.model,
        cells.method
    from cells
    join steps on steps.step_id = cells.generate_step_id
),

uses as (
    select experiment, generate_step_id as step_id, dataset, language, model, method, null as judge
    from cells
    union
    select
        cells.experiment,
        cell_judges.judge_step_id,
        cells.dataset,
        cells.language,
        cells.model,
        cells.method,
        cell_judges.judge
    from cells
    join cell_judges on cell_judges.cell_id = cells.cell_id
    union
    select
        cells.experiment,
        cell_training.step_id,
        cells.dataset,
        cells.language,
        cells.model,
        cells.method,
        null
    from cells
    join cell_training on cell_training.cell_id = cells.cell_id
    union
    select experiment, step_id, dataset, language, model, method, null
    from slices
    union
    select
        slices.experiment,
        steps.step_id,
        slices.dataset,
        slices.language,
        slices.model,
        slices.method,
        null
    from slices
    join steps on steps.kind = 'judge' and (steps.settings ->> 'answers') = slices.step_id
),

served as (
    select
        experiment,
        step_id,
        list_sort(list(distinct dataset)) as datasets,
        list_sort(list(distinct language)) as languages,
        list_sort(list(distinct model)) as models,
        list_sort(list(distinct method)) as methods,
        list_sort(list(distinct judge) filter (where judge is not null)) as judges
    from uses
    group by all
),

attempts as (
    select
        step_id,
        count(*) as n_attempts,
        count(*) filter (where status = 'failed') as n_failed,
        sum(seconds) as attempt_seconds,
        arg_max(experiment, (started_at, run_id)) filter (where status = 'done') as made_by,
        -- Of the attempts that have one.
        arg_max(error, (started_at, run_id)) as last_error
    from runs
    group by all
)

select
    experiment_steps.experiment,
    experiment_steps.position,
    experiment_steps.step_id,
    split_part(experiment_steps.step_id, '-', 1) as kind,
    steps.step_id is not null as is_done,
    served.datasets,
    served.languages,
    served.models,
    served.methods,
    served.judges,
    steps.n_rows,
    steps.n_reused,
    steps.seconds,
    steps.start_seconds,
    steps.load_seconds,
    step_usage.n_prompt_tokens,
    step_usage.n_new_tokens,
    step_usage.usd,
    steps.peak_memory_bytes,
    steps.settings,
    steps.versions,
    steps.facts,
    coalesce(attempts.n_attempts, 0) as n_attempts,
    coalesce(attempts.n_failed, 0) as n_failed,
    attempts.attempt_seconds,
    attempts.made_by,
    attempts.last_error
from experiment_steps
left join steps on steps.step_id = experiment_steps.step_id
left join served
    on served.experiment = experiment_steps.experiment and served.step_id = experiment_steps.step_id
left join step_usage on step_usage.step_id = experiment_steps.step_id
left join attempts on attempts.step_id = experiment_steps.step_id
