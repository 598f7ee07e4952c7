-- One row per dataset, language, model, method, languages tuned on and error: what `critical_errors_by_cell` shows and explains.
with

found as (
    select
        verdicts.experiment,
        verdicts.dataset,
        verdicts.language,
        verdicts.model,
        verdicts.num_parameters,
        verdicts.method,
        verdicts.train_languages,
        verdicts.judge_kind as error,
        verdicts.role,
        study_judges.label,
        verdicts.measure,
        verdicts.item,
        -- The judges score 1 where the answer is free of the error.
        1 - verdicts.score as has_error
    from verdicts
    join study_judges on study_judges.experiment = verdicts.experiment and study_judges.judge = verdicts.judge
    where verdicts.role in ('critical_error', 'detector')
    union all
    select
        experiment,
        dataset,
        language,
        model,
        num_parameters,
        method,
        train_languages,
        'cut' as error,
        'detector' as role,
        'cut at the length limit' as label,
        'cut' as measure,
        item,
        case when text is not null then (finish_reason = 'length')::integer end as has_error
    from completions
    where
        cell_id not in (select cell_id from verdicts where judge_kind = 'truncated')
        and cell_id not in (select cell_id from completions where finish_reason = 'recorded')
),

by_item as (
    select
        * exclude (has_error),
        avg(has_error) as has_error,
        count(*) - count(has_error) as n_unscored
    from found
    group by all
),

shares as (
    select
        * exclude (item, has_error, n_unscored),
        avg(has_error) as share,
        stddev_samp(has_error) / sqrt(count(has_error)) as standard_error,
        count(has_error) as n,
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
    error,
    role,
    label,
    measure,
    share,
    interval_low(share, standard_error, n, n - 1, 0, 1) as ci_low,
    interval_high(share, standard_error, n, n - 1, 0, 1) as ci_high,
    n,
    n_unscored
from shares
