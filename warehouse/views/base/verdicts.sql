-- One row per cell, item and measure: a score (1 is good, or the judge's own scale) or the reason there is
-- none. Where answers are compared, each opponent makes a measure of its own. People's verdicts say how the
-- answer was `drawn` for them: `random`, with all answers to a random item; `disagreement`, where judges
-- disagree; or `elsewhere`.
with

-- The least of a model's counts: adapters add to it.
sizes as (
    select
        cells.experiment,
        cells.model,
        min(steps.n_parameters) as num_parameters
    from cells
    join steps on steps.step_id = cells.generate_step_id
    group by all
),

-- Recorded preferences are all over the answers of one who is no method of the study.
recorded as (
    select
        cell_judges.cell_id,
        cell_judges.judge,
        steps.settings -> '$.judges' -> cell_judges.judge_key ->> '$.against' as against
    from cell_judges
    join cells on cells.cell_id = cell_judges.cell_id
    join judges
        on judges.experiment = cells.experiment
            and judges.judge = cell_judges.judge
            and judges.judge_kind = 'recorded'
    join steps on steps.step_id = cell_judges.judge_step_id
    where cell_judges.probe = ''
),

judged as (
    select
        cells.experiment,
        cells.cell_id,
        cells.dataset,
        cells.language,
        cells.model,
        coalesce(cells.num_parameters, sizes.num_parameters) as num_parameters,
        cells.method,
        cells.method_kind,
        cells.train_languages,
        cells.seed,
        step_verdicts.item,
        cells.turn,
        cells.is_replicate,
        cell_judges.judge,
        case when judges.is_people then 'human' else judges.judge_kind end as judge_kind,
        judges.role,
        step_verdicts.aspect,
        -- A judge of one aspect names it as itself.
        case
            when step_verdicts.aspect = judges.judge_kind then cell_judges.judge
            else cell_judges.judge || '.' || step_verdicts.aspect
        end || coalesce(' vs ' || coalesce(step_verdicts.against, recorded.against), '') as measure,
        coalesce(step_verdicts.against, recorded.against) as against,
        -- Translations of one item are one draw: errors are clustered by this.
        case
            when experiments.parallel[cells.dataset] then step_verdicts.item
            else cells.language || '/' || step_verdicts.item
        end as item_cluster,
        cell_judges.judge_step_id as step_id,
        step_verdicts.score,
        step_verdicts.unscored_reason,
        step_verdicts.reason,
        step_verdicts.distribution,
        -- What the judge itself is unsure of, where it gives the probability of every level, and levels are
        -- numbers on the score's scale.
        distribution_variance(
            map_entries(step_verdicts.distribution::map(varchar, double))
        ) as score_variance,
        -- The lowest and the highest score that the judge can give; null where there is no such thing.
        judges.scales[step_verdicts.aspect][1] as scale_low,
        judges.scales[step_verdicts.aspect][2] as scale_high,
        step_verdicts.parts,
        step_verdicts.raw,
        step_verdicts.n_prompt_tokens,
        step_verdicts.n_new_tokens,
        step_verdicts.seconds,
        step_verdicts.usd,
        step_verdicts.model_served,
        case when judges.is_people then 'elsewhere' end as drawn
    from cells
    join experiments on experiments.experiment = cells.experiment
    join cell_judges on cell_judges.cell_id = cells.cell_id and cell_judges.probe = ''
    join judges on judges.experiment = cells.experiment and judges.judge = cell_judges.judge
    join step_verdicts
        on step_verdicts.step_id = cell_judges.judge_step_id
            and step_verdicts.judge_key = cell_judges.judge_key
    left join recorded on recorded.cell_id = cells.cell_id and recorded.judge = cell_judges.judge
    left join sizes on sizes.experiment = cells.experiment and sizes.model = cells.model
),

-- The answers of studies that people have labelled. The name of an answer holds its study's, so that labels
-- are looked up by it alone.
named as (
    select
        cells.experiment,
        cells.cell_id,
        cells.dataset,
        cells.language,
        cells.model,
        cells.num_parameters,
        cells.method,
        cells.method_kind,
        cells.train_languages,
        cells.seed,
        step_completions.item,
        cells.turn,
        cells.is_replicate,
        answer_id(
            cells.experiment,
            cells.dataset,
            cells.language,
            item_turn(step_completions.item, cells.turn),
            step_completions.text
        ) as answer_id
    from cells
    join step_completions on step_completions.step_id = cells.generate_step_id
    where cells.experiment in (select experiment from labels) and step_completions.text is not null
),

-- What people said of answers, on every answer with the text that they were shown. They saw no opponent and
-- gave no distribution.
labelled as (
    select
        named.experiment,
        named.cell_id,
        named.dataset,
        named.language,
        named.model,
        coalesce(named.num_parameters, sizes.num_parameters) as num_parameters,
        named.method,
        named.method_kind,
        named.train_languages,
        named.seed,
        named.item,
        named.turn,
        named.is_replicate,
        labels.judge,
        'human' as judge_kind,
        'quality' as role,
        labels.aspect,
        case
            when labels.aspect = 'human' then labels.judge
            else labels.judge || '.' || labels.aspect
        end as measure,
        case
            when experiments.parallel[named.dataset] then named.item
            else named.language || '/' || named.item
        end as item_cluster,
        labels.score,
        labels.comment as reason,
        labels.scale_low,
        labels.scale_high,
        coalesce(labels.drawn, 'elsewhere') as drawn
    from named
    join labels on labels.answer_id = named.answer_id
    join experiments on experiments.experiment = named.experiment
    left join sizes on sizes.experiment = named.experiment and sizes.model = named.model
)

select *
from judged
union all by name
select *
from labelled
