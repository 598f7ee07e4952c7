-- One row per dataset, language, model, method, languages tuned on, measure and turn of items that ask
-- several questions in turn: seeds averaged within an item, then the mean over the items with a question in
-- that turn, with its 95% interval. `n` counts items with a score, `n_unscored` verdicts without one. An
-- answer hangs on those of the turns before, so turns of one method are no independent samples.
-- `direction` and `fault` are as in `score_by_method_language`.
with

found as (
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
        turn,
        seed,
        item,
        item as cluster,
        score as value
    from verdicts
    where turn is not null and not is_replicate
),

scales as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        measure,
        turn,
        min(scale_low) as scale_low,
        max(scale_high) as scale_high
    from verdicts_by_item
    where turn is not null and not is_replicate
    group by all
)

select
    means.experiment,
    means.dataset,
    means.language,
    means.model,
    means.num_parameters,
    means.method,
    means.method_kind,
    means.train_languages,
    means.judge,
    means.measure,
    means.turn,
    means.mean as mean_score,
    means.standard_error,
    interval_low(
        means.mean, means.standard_error, means.n_clusters, means.df, scales.scale_low, scales.scale_high
    ) as ci_low,
    interval_high(
        means.mean, means.standard_error, means.n_clusters, means.df, scales.scale_low, scales.scale_high
    ) as ci_high,
    means.n,
    means.n_unscored,
    means.n_seeds,
    means.scope,
    study_judges.fault,
    coalesce(study_judges.direction, 'higher is better') as direction
from mean_over_items(found) as means
left join scales using (experiment, dataset, language, model, method, train_languages, measure, turn)
left join study_judges
    on study_judges.experiment = means.experiment and study_judges.judge = means.judge
order by all
