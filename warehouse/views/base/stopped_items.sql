-- One row per cell whose asking may stop: the items that there are and those that were asked, and what these
-- took. An answer and the verdict of a model on it are a request each; tokens are null where none were
-- counted.
with

sides as (
    select
        stopped_cells.*,
        cells.generate_step_id,
        steps.settings ->> '$.examples' as examples
    from stopped_cells
    join cells on cells.cell_id = stopped_cells.cell_id
    join steps on steps.step_id = cells.generate_step_id
),

there as (
    select step_id, count(*) as n_items
    from examples
    where step_id in (select sides.examples from sides)
    group by all
),

asked as (
    select
        step_id,
        count(*) as n_asked,
        sum(n_prompt_tokens + n_new_tokens) as n_tokens
    from step_completions
    where step_id in (select generate_step_id from sides)
    group by all
),

judged as (
    select
        cell_judges.cell_id,
        count(*) as n_verdicts,
        sum(step_verdicts.n_prompt_tokens + step_verdicts.n_new_tokens) as n_tokens
    from sides
    join cell_judges on cell_judges.cell_id = sides.cell_id
    join step_verdicts
        on step_verdicts.step_id = cell_judges.judge_step_id
            and step_verdicts.judge_key = cell_judges.judge_key
    where cell_judges.probe = '' and step_verdicts.code is not null
    group by all
)

select
    sides.experiment,
    sides.stopped_by,
    sides.stopping_rule,
    sides.cell_id,
    sides.dataset,
    sides.language,
    sides.model,
    sides.method,
    there.n_items,
    asked.n_asked,
    asked.n_asked + coalesce(judged.n_verdicts, 0) as n_requests,
    asked.n_tokens + coalesce(judged.n_tokens, 0) as n_tokens
from sides
join there on there.step_id = sides.examples
join asked on asked.step_id = sides.generate_step_id
left join judged on judged.cell_id = sides.cell_id
