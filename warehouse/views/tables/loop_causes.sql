-- One row per dataset, language, model, method, languages tuned on, loop judge and cause: what
-- `loops_by_cause` shows and explains.
with

causes as (
    select unnest([
        'repeats and ended',
        'repeats until the limit',
        'no repeats, but never ended',
        'repeats, end not recorded'
    ]) as cause
),

judged as (
    select
        verdicts.experiment,
        verdicts.dataset,
        verdicts.language,
        verdicts.model,
        verdicts.num_parameters,
        verdicts.method,
        verdicts.train_languages,
        verdicts.measure,
        verdicts.seed,
        item_turn(verdicts.item, verdicts.turn) as item,
        verdicts.item as cluster,
        completions.finish_reason = 'recorded' as is_recorded,
        verdicts.score is not null as is_judged,
        -- The judge scores 1 where the answer does not loop.
        case
            when verdicts.score = 0
                and completions.finish_reason = 'recorded' then 'repeats, end not recorded'
            when verdicts.score = 0 and completions.finish_reason = 'length' then 'repeats until the limit'
            when verdicts.score = 0 then 'repeats and ended'
            when completions.finish_reason = 'length' then 'no repeats, but never ended'
            else 'none'
        end as found
    from verdicts
    join completions on completions.cell_id = verdicts.cell_id and completions.item = verdicts.item
    where verdicts.judge_kind = 'loop'
),

found_causes as (
    select
        judged.* exclude (is_recorded, is_judged, found),
        causes.cause,
        case when judged.is_judged then (judged.found = causes.cause)::integer end as value
    from judged
    join causes on (causes.cause = 'repeats, end not recorded') = judged.is_recorded
)

select
    experiment,
    dataset,
    language,
    model,
    num_parameters,
    method,
    train_languages,
    measure,
    cause,
    mean as share,
    interval_low(mean, standard_error, n_clusters, df, 0, 1) as ci_low,
    interval_high(mean, standard_error, n_clusters, df, 0, 1) as ci_high,
    n,
    n_unscored,
    n_seeds,
    n_seeds_missing,
    scope,
    cast(null as varchar) as stopped_by
from mean_over_items(found_causes)
