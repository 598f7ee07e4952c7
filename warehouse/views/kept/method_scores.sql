-- One row per dataset, language, model, method, languages tuned on and measure: what `score_by_method_language` shows and explains.
with

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
        avg(score) as mean_score,
        error_of_mean(stddev_samp(score), sum(variance), count(score)) as standard_error,
        count(score) as n,
        sum(n_unscored)::bigint as n_unscored,
        max(n_scored + n_unscored) as n_seeds
    from verdicts_by_item
    group by all
),

answered as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        avg(n_characters) as mean_characters
    from completions
    group by all
)

select
    measured.experiment,
    measured.dataset,
    measured.language,
    measured.model,
    measured.num_parameters,
    measured.method,
    measured.method_kind,
    measured.train_languages,
    measured.judge,
    measured.measure,
    measured.mean_score,
    measured.standard_error,
    measured.mean_score - t_quantile(measured.n - 1) * measured.standard_error as ci_low,
    measured.mean_score + t_quantile(measured.n - 1) * measured.standard_error as ci_high,
    measured.n,
    measured.n_unscored,
    measured.n_seeds,
    answered.mean_characters
from measured
left join answered using (experiment, dataset, language, model, method, train_languages)
