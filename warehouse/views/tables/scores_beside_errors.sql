-- One row per dataset, language, model, method, languages tuned on and measure: what
-- `score_beside_critical_errors` shows and explains.
with

critical as (
    select
        judge_kind,
        1 << (row_number() over (order by judge_kind) - 1)::integer as bit
    from study_judges
    where role = 'critical_error'
    group by judge_kind
),

looked_at as (
    select
        experiment,
        cell_id,
        count(*) as n_detectors
    from verdicts_by_cell
    where role = 'critical_error'
    group by all
),

found as (
    select
        verdicts.experiment,
        verdicts.cell_id,
        verdicts.item,
        bit_or(critical.bit) as detectors,
        -- Detectors score 0 where the fault is there.
        max(1 - verdicts.score) as has_error,
        count(verdicts.score) < looked_at.n_detectors and not bool_or(verdicts.score = 0) as is_partly_judged
    from verdicts
    join critical using (judge_kind)
    join looked_at using (experiment, cell_id)
    where verdicts.role = 'critical_error'
    group by
        verdicts.experiment,
        verdicts.cell_id,
        verdicts.item,
        looked_at.n_detectors
),

scored as (
    select
        verdicts.experiment,
        verdicts.dataset,
        verdicts.language,
        verdicts.model,
        verdicts.num_parameters,
        verdicts.method,
        verdicts.method_kind,
        verdicts.train_languages,
        verdicts.judge,
        verdicts.measure,
        verdicts.seed,
        verdicts.item,
        verdicts.turn,
        found.detectors,
        found.has_error,
        found.is_partly_judged,
        verdicts.scale_low as worst,
        verdicts.scale_high as best,
        verdicts.score,
        case when found.has_error = 0 then verdicts.score end as score_of_rest,
        case
            when found.has_error = 1 then verdicts.scale_low
            when found.has_error = 0 and verdicts.scale_low is not null then verdicts.score
        end as score_with_errors
    from verdicts
    join looked_at using (experiment, cell_id)
    -- a detector with a limit does not look at every answer
    left join found using (experiment, cell_id, item)
    where verdicts.role not in ('critical_error', 'detector')
),

quantities as (
    select
        * exclude (
            turn, detectors, has_error, is_partly_judged, worst, best, score, score_of_rest, score_with_errors
        )
        replace (item_turn(item, turn) as item),
        item as cluster,
        unnest([
            {quantity: 'critical', value: has_error},
            {quantity: 'rest', value: score_of_rest},
            {quantity: 'with_errors', value: score_with_errors},
            {quantity: 'all', value: score}
        ], recursive := true)
    from scored
),

looked_for as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        measure,
        bit_or(detectors) as detectors,
        min(worst) as worst,
        max(best) as best,
        count(*) filter (where has_error = 0 and score is null) as n_unscored_of_rest,
        count(distinct item_turn(item, turn)) filter (
            where has_error = 0 and is_partly_judged
        ) as n_partly_judged
    from scored
    group by all
),

measured as (
    select
        *,
        case when quantity = 'critical' then 0 else worst end as low,
        case when quantity = 'critical' then 1 else best end as high,
        {
            mean: mean,
            standard_error: standard_error,
            low: interval_low(mean, standard_error, n_clusters, df, low, high),
            high: interval_high(mean, standard_error, n_clusters, df, low, high),
            n: n,
            n_unscored: n_unscored
        } as found
    from mean_over_items(quantities)
    left join looked_for using (experiment, dataset, language, model, method, train_languages, measure)
),

means as (
    select
        experiment,
        dataset,
        language,
        model,
        num_parameters,
        method,
        method_kind,
        train_languages,
        judge,
        measure,
        detectors,
        worst,
        n_unscored_of_rest,
        n_partly_judged,
        any_value(found) filter (where quantity = 'critical') as erring,
        any_value(found) filter (where quantity = 'rest') as rest,
        any_value(found) filter (where quantity = 'with_errors') as with_errors,
        any_value(found) filter (where quantity = 'all') as every,
        max(n_seeds) as n_seeds,
        min(n_seeds_missing) as n_seeds_missing,
        any_value(scope) filter (where quantity = 'all') as scope
    from measured
    group by all
)

select
    experiment,
    dataset,
    language,
    model,
    num_parameters,
    method,
    method_kind,
    train_languages,
    judge,
    measure,
    (
        select list(judge_kind order by judge_kind) from critical where critical.bit & means.detectors <> 0
    ) as detectors,
    erring.mean as p_critical,
    erring.low as p_critical_low,
    erring.high as p_critical_high,
    erring.n as n_judged,
    erring.n_unscored as n_unjudged,
    n_partly_judged,
    rest.mean as mean_of_rest,
    rest.standard_error as error_of_rest,
    rest.low as rest_low,
    rest.high as rest_high,
    rest.n as n_of_rest,
    n_unscored_of_rest,
    worst,
    with_errors.mean as mean_with_errors_as_worst,
    with_errors.standard_error as error_with_errors_as_worst,
    with_errors.low as with_errors_as_worst_low,
    with_errors.high as with_errors_as_worst_high,
    with_errors.n as n_with_errors_as_worst,
    every.mean as mean_score,
    every.standard_error as standard_error,
    every.low as ci_low,
    every.high as ci_high,
    every.n as n,
    every.n_unscored as n_unscored,
    n_seeds,
    n_seeds_missing,
    scope,
    cast(null as varchar) as stopped_by
from means
