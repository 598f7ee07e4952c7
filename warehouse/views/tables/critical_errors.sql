-- One row per dataset, language, model, method, languages tuned on and error: what `critical_errors_by_cell`
-- shows and explains.
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
        verdicts.seed,
        item_turn(verdicts.item, verdicts.turn) as item,
        verdicts.item as cluster,
        -- The judges score 1 where the answer is free of the error.
        1 - verdicts.score as value
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
        seed,
        item_turn(item, turn) as item,
        item as cluster,
        case when text is not null then (finish_reason = 'length')::integer end as value
    from completions
    where
        cell_id not in (select cell_id from verdicts where judge_kind = 'truncated')
        and cell_id not in (select cell_id from completions where finish_reason = 'recorded')
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
    mean as share,
    interval_low(mean, standard_error, n_clusters, df, 0, 1) as ci_low,
    interval_high(mean, standard_error, n_clusters, df, 0, 1) as ci_high,
    n,
    n_unscored,
    n_seeds,
    n_seeds_missing,
    scope,
    cast(null as varchar) as stopped_by
from mean_over_items(found)
