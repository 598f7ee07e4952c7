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
        verdicts.score,
        verdicts.score_variance,
        case when found.has_error = 0 then verdicts.score end as score_of_rest,
        case when found.has_error = 0 then verdicts.score_variance end as variance_of_rest,
        case
            when found.has_error = 1 then verdicts.scale_low
            when found.has_error = 0 and verdicts.scale_low is not null then verdicts.score
        end as score_with_errors
    from verdicts
    join looked_at using (experiment, cell_id)
    left join found using (experiment, cell_id, item)  -- a detector with a limit does not look at every answer
    where verdicts.role not in ('critical_error', 'detector')
),

-- A mean over seeds is unsure by the sum of their variances over the square of their number.
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
        avg(has_error) as has_error,
        avg(score) as score,
        sum(score_variance) / count(score) ^ 2 as score_variance,
        avg(score_of_rest) as score_of_rest,
        sum(variance_of_rest) / count(score_of_rest) ^ 2 as variance_of_rest,
        avg(score_with_errors) as score_with_errors,
        sum(variance_of_rest) / count(score_with_errors) ^ 2 as variance_with_errors,
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
        avg(has_error) as p_critical,
        count(has_error) as n_judged,
        sum(n_unjudged)::bigint as n_unjudged,
        avg(score_of_rest) as mean_of_rest,
        error_of_mean(stddev_samp(score_of_rest), sum(variance_of_rest), count(score_of_rest)) as error_of_rest,
        count(score_of_rest) as n_of_rest,
        sum(n_unscored_of_rest)::bigint as n_unscored_of_rest,
        avg(score_with_errors) as mean_with_errors_as_worst,
        error_of_mean(stddev_samp(score_with_errors), sum(variance_with_errors), count(score_with_errors)) as error_with_errors_as_worst,
        count(score_with_errors) as n_with_errors_as_worst,
        avg(score) as mean_score,
        error_of_mean(stddev_samp(score), sum(score_variance), count(score)) as standard_error,
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
    case when n_judged > 0 then wilson_low(p_critical, n_judged) end as p_critical_low,
    case when n_judged > 0 then wilson_high(p_critical, n_judged) end as p_critical_high,
    n_judged,
    n_unjudged,
    mean_of_rest,
    error_of_rest,
    mean_of_rest - t_quantile(n_of_rest - 1) * error_of_rest as rest_low,
    mean_of_rest + t_quantile(n_of_rest - 1) * error_of_rest as rest_high,
    n_of_rest,
    n_unscored_of_rest,
    worst,
    mean_with_errors_as_worst,
    error_with_errors_as_worst,
    mean_with_errors_as_worst - t_quantile(n_with_errors_as_worst - 1) * error_with_errors_as_worst as with_errors_as_worst_low,
    mean_with_errors_as_worst + t_quantile(n_with_errors_as_worst - 1) * error_with_errors_as_worst as with_errors_as_worst_high,
    n_with_errors_as_worst,
    mean_score,
    standard_error,
    mean_score - t_quantile(n - 1) * standard_error as ci_low,
    mean_score + t_quantile(n - 1) * standard_error as ci_high,
    n,
    n_unscored
from measured
