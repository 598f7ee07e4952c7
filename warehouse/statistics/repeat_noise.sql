-- One row per study and judge that repeats its question: the variance of its scores of the same answer.
with

repeated as (
    select distinct
        cells.experiment,
        cell_judges.judge,
        cell_judges.judge_step_id as step_id,
        cell_judges.judge_key,
        (steps.settings -> '$.judges' -> cell_judges.judge_key ->> '$.repeats')::bigint as repeats
    from cells
    join cell_judges on cell_judges.cell_id = cells.cell_id and cell_judges.probe = ''
    join steps on steps.step_id = cell_judges.judge_step_id
),

varied as (
    select
        repeated.experiment,
        repeated.judge,
        repeated.repeats,
        list_aggregate(map_values(step_verdicts.parts::map(varchar, double)), 'var_samp') as variance
    from repeated
    join step_verdicts using (step_id, judge_key)
    where repeated.repeats > 1 and step_verdicts.parts is not null
)

select
    experiment,
    judge,
    avg(variance) as variance,
    max(repeats)::bigint as repeats
from varied
where variance is not null
group by all
order by all
