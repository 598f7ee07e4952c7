-- One row per dataset, language, model, method, languages tuned on and measure: what
-- `score_by_method_language` shows and explains.
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
        seed,
        item_turn(item, turn) as item,
        item as cluster,
        score as value
    from verdicts
),

judged as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        measure,
        sqrt(avg(judge_variance)) as judge_standard_deviation,
        min(scale_low) as scale_low,
        max(scale_high) as scale_high,
        bit_xor(hash(item_turn(item, turn))) filter (where score is not null) as item_set_id
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
    means.mean as mean_score,
    means.standard_error,
    interval_low(
        means.mean, means.standard_error, means.n_clusters, means.df, judged.scale_low, judged.scale_high
    ) as ci_low,
    interval_high(
        means.mean, means.standard_error, means.n_clusters, means.df, judged.scale_low, judged.scale_high
    ) as ci_high,
    judged.judge_standard_deviation,
    means.n,
    judged.item_set_id,
    means.n_unscored,
    means.variance_of_seeds,
    means.n_seeds,
    means.n_seeds_missing,
    means.scope,
    answered.mean_characters,
    cast(null as varchar) as stopped_by
from mean_over_items(found) as means
left join judged using (experiment, dataset, language, model, method, train_languages, measure)
left join answered using (experiment, dataset, language, model, method, train_languages)
