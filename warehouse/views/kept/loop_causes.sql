-- One row per dataset, language, model, method, languages tuned on, loop judge and cause: what `loops_by_cause` shows and explains.
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
        verdicts.item,
        completions.finish_reason = 'recorded' as is_recorded,
        verdicts.score is not null as is_judged,
        -- The judge scores 1 where the answer does not loop.
        case
            when verdicts.score = 0 and completions.finish_reason = 'recorded' then 'repeats, end not recorded'
            when verdicts.score = 0 and completions.finish_reason = 'length' then 'repeats until the limit'
            when verdicts.score = 0 then 'repeats and ended'
            when completions.finish_reason = 'length' then 'no repeats, but never ended'
            else 'none'
        end as found
    from verdicts
    join completions on completions.cell_id = verdicts.cell_id and completions.item = verdicts.item
    where verdicts.judge_kind = 'loop'
),

by_item as (
    select
        judged.* exclude (is_recorded, is_judged, found),
        causes.cause,
        avg((judged.found = causes.cause)::integer) filter (where judged.is_judged) as has_cause,
        count(*) filter (where not judged.is_judged) as n_unscored
    from judged
    join causes on (causes.cause = 'repeats, end not recorded') = judged.is_recorded
    group by all
),

shares as (
    select
        * exclude (item, has_cause, n_unscored),
        avg(has_cause) as share,
        stddev_samp(has_cause) / sqrt(count(has_cause)) as standard_error,
        count(has_cause) as n,
        sum(n_unscored)::bigint as n_unscored
    from by_item
    group by all
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
    share,
    interval_low(share, standard_error, n, n - 1, 0, 1) as ci_low,
    interval_high(share, standard_error, n, n - 1, 0, 1) as ci_high,
    n,
    n_unscored
from shares
