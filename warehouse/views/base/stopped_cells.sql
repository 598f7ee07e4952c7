-- One row per cell whose asking a contrast may stop: the contrast and its rule, the items that there are and
-- those that were asked, and what these took. An answer and the verdict of a model on it are a request each;
-- tokens are null where none were counted.
with

sides as (
    select
        cells.experiment,
        contrasts.contrast,
        contrasts.stopping_rule,
        contrasts.stopping_seed,
        cells.cell_id,
        cells.dataset,
        cells.language,
        cells.model,
        cells.method,
        cells.generate_step_id,
        steps.settings ->> '$.examples' as examples
    from cells
    join steps on steps.step_id = cells.generate_step_id
    join contrasts
        on contrasts.experiment = cells.experiment
            and contrasts.contrast = contrasts.stopped_by
            and cells.method in (contrasts.of, contrasts.against)
    where json_array_length(steps.settings -> '$.slices') > 0
),

there as (
    select step_id as examples, count(*) as n_items
    from examples
    group by all
),

asked as (
    select
        step_id as generate_step_id,
        count(*) as n_asked,
        sum(n_prompt_tokens + n_new_tokens) as n_tokens
    from step_completions
    group by all
),

judged as (
    select
        cell_judges.cell_id,
        count(*) as n_verdicts,
        sum(step_verdicts.n_prompt_tokens + step_verdicts.n_new_tokens) as n_tokens
    from cell_judges
    join step_verdicts
        on step_verdicts.step_id = cell_judges.judge_step_id
            and step_verdicts.judge_key = cell_judges.judge_key
    where cell_judges.probe = '' and step_verdicts.code is not null
    group by all
)

select
    sides.experiment,
    sides.contrast,
    sides.stopping_rule,
    sides.stopping_seed,
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
join there on there.examples = sides.examples
join asked on asked.generate_step_id = sides.generate_step_id
left join judged on judged.cell_id = sides.cell_id
