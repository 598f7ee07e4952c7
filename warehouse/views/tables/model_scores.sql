-- One row per dataset, model, method and measure: what `score_by_model_size` shows and explains.
with

tuned as (
    select
        experiment,
        dataset,
        model,
        method,
        measure,
        case
            when min(train_languages) = max(train_languages) then min(train_languages)
            else 'each'
        end as train_languages,
        min(scale_low) as scale_low,
        max(scale_high) as scale_high,
        count(distinct language) filter (where n_scored > 0) as n_languages
    from verdicts_by_item
    group by all
),

found as (
    select
        verdicts.experiment,
        verdicts.dataset,
        verdicts.model,
        verdicts.num_parameters,
        verdicts.method,
        verdicts.method_kind,
        tuned.train_languages,
        verdicts.judge,
        verdicts.judge_kind,
        verdicts.measure,
        verdicts.seed,
        -- Translations of one item are one draw.
        verdicts.language || '/' || item_turn(verdicts.item_cluster, verdicts.turn) as item,
        verdicts.item_cluster as cluster,
        verdicts.score as value
    from verdicts
    join tuned using (experiment, dataset, model, method, measure)
),

answered as (
    select
        experiment,
        dataset,
        model,
        method,
        avg(n_characters) as mean_characters
    from completions
    group by all
),

labelled as (
    select distinct experiment, cell_id, item
    from verdicts
    where judge_kind = 'human' and score is not null
),

-- Languages in which people's verdicts stand beside the judge's own.
calibrated as (
    select
        verdicts.experiment,
        verdicts.dataset,
        verdicts.model,
        verdicts.measure,
        list_sort(list(distinct verdicts.language)) as languages
    from verdicts
    join labelled using (experiment, cell_id, item)
    where verdicts.score is not null
    group by all
)

select
    means.experiment,
    means.dataset,
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
        means.mean, means.standard_error, means.n_clusters, means.df, tuned.scale_low, tuned.scale_high
    ) as ci_low,
    interval_high(
        means.mean, means.standard_error, means.n_clusters, means.df, tuned.scale_low, tuned.scale_high
    ) as ci_high,
    means.n,
    means.n_clusters as n_items,
    tuned.n_languages,
    means.n_unscored,
    means.n_seeds,
    means.n_seeds_missing,
    means.scope,
    answered.mean_characters,
    means.judge_kind,
    calibrated.languages as calibrated_languages,
    cast(null as varchar) as stopped_by
from mean_over_items(found) as means
left join tuned using (experiment, dataset, model, method, measure)
left join answered using (experiment, dataset, model, method)
left join calibrated using (experiment, dataset, model, measure)
