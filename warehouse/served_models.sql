-- One row per study's step, name that its server was asked for, and name that its answers give.
with

answered as (
    select step_id, null as judge_key, model_served, count(*) as n
    from step_completions
    where model_served is not null
    group by all
    union all
    select step_id, judge_key, model_served, count(*)
    from step_verdicts
    where model_served is not null
    group by all
)

select
    answered.step_id,
    answered.judge_key is not null as is_judge,
    if(
        answered.judge_key is null,
        steps.settings -> 'model' ->> 'name',
        steps.settings -> 'judges' -> answered.judge_key -> 'model' ->> 'name'
    ) as asked,
    answered.model_served as served,
    answered.n
from experiment_steps
join steps on steps.step_id = experiment_steps.step_id
join answered on answered.step_id = steps.step_id
where experiment_steps.experiment = $1 and asked is not null
order by experiment_steps.position, is_judge, asked, served
