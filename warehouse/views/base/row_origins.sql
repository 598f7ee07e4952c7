-- One row per study, kind of step, maker (the engine, the judge or the kind of training), its model, and what
-- its rows were made with. Rows that no model was loaded for, such as verdicts on two equal answers, have
-- neither device nor versions: they differ from no other row. A training that one code began and another went
-- on with has a row for each, and its rows count in that of the last.
with

answered as (
    select
        step_completions.step_id,
        'generate' as kind,
        step_completions.engine as made_by,
        steps.settings ->> '$.model' as model,
        step_completions.code,
        step_completions.device,
        step_completions.dtype,
        nullif(step_completions.versions::varchar, '{}') as versions,
        count(*) as n_rows
    from step_completions
    join steps on steps.step_id = step_completions.step_id
    group by all
),

judged as (
    select
        step_verdicts.step_id,
        'judge' as kind,
        steps.settings -> '$.judges' -> step_verdicts.judge_key ->> '$.judge' as made_by,
        steps.settings -> '$.judges' -> step_verdicts.judge_key ->> '$.model' as model,
        step_verdicts.code,
        step_verdicts.device,
        step_verdicts.dtype,
        nullif(step_verdicts.versions::varchar, '{}') as versions,
        count(*) as n_rows
    from step_verdicts
    join steps on steps.step_id = step_verdicts.step_id
    where step_verdicts.code is not null
    group by all
),

trained as (
    select
        steps.step_id,
        steps.kind,
        steps.kind as made_by,
        steps.settings ->> '$.weights' as model,
        codes.code,
        steps.facts ->> '$.device' as device,
        case
            when (steps.facts ->> '$.bf16')::boolean then 'bfloat16'
            else steps.facts ->> '$.dtype'
        end as dtype,
        null::varchar as versions,
        case when codes.code = steps.code then steps.n_rows else 0 end as n_rows
    from steps
    cross join unnest(coalesce(string_split(steps.facts ->> '$.codes', ', '), [steps.code])) as codes (code)
    where steps.kind in ('sft', 'dpo', 'kto', 'orpo', 'simpo', 'reference_logps')
)

select
    experiment_steps.experiment,
    made.kind,
    made.made_by,
    made.model,
    made.code,
    made.device,
    made.dtype,
    made.versions,
    sum(made.n_rows) as n_rows
from (
    from answered
    union all by name
    from judged
    union all by name
    from trained
) as made
join experiment_steps on experiment_steps.step_id = made.step_id
group by all
