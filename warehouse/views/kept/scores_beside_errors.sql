-- One row per dataset, language, model, method, languages tuned on and measure: what `score_beside_critical_errors` shows and explains.
with

critical as (
    select
        judge_kind,
        1 << (row_number() over (order by judge_kind) - 1)::integer as bit
    from study_judges
    where role = 'critical_error'
    group by judge_kind
),

found as (
    select
        verdicts.experiment,
        verdicts.cell_id,
        verdicts.item,
        bit_or(critical.bit) as detectors,
        -- Detectors score 0 where the fault is there.
        max(1 - verdicts.score) as has_error
    from verdicts
    join critical using (judge_kind)
    where verdicts.role = 'critical_error'
    group by all
),

looked_at as (
    select distinct experiment, cell_id
    from verdicts_by_cell
    where role = 'critical_error'
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
        verdicts.item,
        found.detectors,
        found.has_error,
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
    left join found using (experiment, cell_id, item)  -- a detector with a limit does not look at every answer
    where verdicts.role not in ('critical_error', 'detector')
),

item_scores as (
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
        item,
        bit_or(detectors) as detectors,
        min(worst) as worst,
        max(best) as best,
        avg(has_error) as has_error,
        avg(score) as score,
        avg(score_of_rest) as score_of_rest,
        avg(score_with_errors) as score_with_errors,
        count(*) - count(has_error) as n_unjudged,
        count(*) - count(score) as n_unscored,
        count(*) filter (where has_error = 0 and score is null) as n_unscored_of_rest
    from scored
    group by all
),

measured as (
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
        bit_or(detectors) as detectors,
        min(worst) as worst,
        max(best) as best,
        avg(has_error) as p_critical,
        stddev_samp(has_error) / sqrt(count(has_error)) as error_of_p_critical,
        count(has_error) as n_judged,
        sum(n_unjudged)::bigint as n_unjudged,
        avg(score_of_rest) as mean_of_rest,
        stddev_samp(score_of_rest) / sqrt(count(score_of_rest)) as error_of_rest,
        count(score_of_rest) as n_of_rest,
        sum(n_unscored_of_rest)::bigint as n_unscored_of_rest,
        avg(score_with_errors) as mean_with_errors_as_worst,
        stddev_samp(score_with_errors) / sqrt(count(score_with_errors)) as error_with_errors_as_worst,
        count(score_with_errors) as n_with_errors_as_worst,
        avg(score) as mean_score,
        stddev_samp(score) / sqrt(count(score)) as standard_error,
        count(score) as n,
        sum(n_unscored)::bigint as n_unscored
    from item_scores
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
    (select list(judge_kind order by judge_kind) from critical where critical.bit & measured.detectors <> 0) as detectors,
    p_critical,
    interval_low(p_critical, error_of_p_critical, n_judged, n_judged - 1, 0, 1) as p_critical_low,
    interval_high(p_critical, error_of_p_critical, n_judged, n_judged - 1, 0, 1) as p_critical_high,
    n_judged,
    n_unjudged,
    mean_of_rest,
    error_of_rest,
    interval_low(mean_of_rest, error_of_rest, n_of_rest, n_of_rest - 1, worst, best) as rest_low,
    interval_high(mean_of_rest, error_of_rest, n_of_rest, n_of_rest - 1, worst, best) as rest_high,
    n_of_rest,
    n_unscored_of_rest,
    worst,
    mean_with_errors_as_worst,
    error_with_errors_as_worst,
    interval_low(
        mean_with_errors_as_worst, error_with_errors_as_worst, n_with_errors_as_worst, n_with_errors_as_worst - 1, worst, best
    ) as with_errors_as_worst_low,
    interval_high(
        mean_with_errors_as_worst, error_with_errors_as_worst, n_with_errors_as_worst, n_with_errors_as_worst - 1, worst, best
    ) as with_errors_as_worst_high,
    n_with_errors_as_worst,
    mean_score,
    standard_error,
    interval_low(mean_score, standard_error, n, n - 1, worst, best) as ci_low,
    interval_high(mean_score, standard_error, n, n - 1, worst, best) as ci_high,
    n,
    n_unscored
from measured
