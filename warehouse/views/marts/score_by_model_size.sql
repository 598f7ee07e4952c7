-- One row per dataset, model, method and measure: the mean over languages and items, seeds averaged first, with a 95% interval from
-- cluster-robust errors. Translations of one item are one cluster (Miller, arXiv 2411.00640): the squared sums of residuals of each
-- cluster, times G / (G - 1) for G clusters. Judges need not be equally strict in every language: where `n_languages` > 1 the mean is
-- a raw one across languages. `train_languages` is `each` where it differs from language to language.
with

item_scores as (
    select
        experiment,
        dataset,
        model,
        num_parameters,
        method,
        method_kind,
        judge,
        measure,
        language,
        item_cluster,
        avg(score) as score,
        count(*) - count(score) as n_unscored,
        list(distinct train_languages) as train_languages
    from verdicts
    group by all
),

means as (
    select
        experiment,
        dataset,
        model,
        num_parameters,
        method,
        method_kind,
        judge,
        measure,
        case
            when len(list_distinct(flatten(list(train_languages)))) = 1 then any_value(train_languages[1])
            else 'each'
        end as train_languages,
        avg(score) as mean_score,
        count(score) as n,
        count(distinct item_cluster) filter (where score is not null) as n_items,
        count(distinct language) filter (where score is not null) as n_languages,
        sum(n_unscored)::bigint as n_unscored
    from item_scores
    group by all
),

clusters as (
    select
        item_scores.experiment,
        item_scores.dataset,
        item_scores.model,
        item_scores.num_parameters,
        item_scores.method,
        item_scores.measure,
        item_scores.item_cluster,
        sum(item_scores.score - means.mean_score) as residual
    from item_scores
    join means
        on means.experiment = item_scores.experiment
        and means.dataset = item_scores.dataset
        and means.model = item_scores.model
        and means.num_parameters is not distinct from item_scores.num_parameters
        and means.method = item_scores.method
        and means.measure = item_scores.measure
    where item_scores.score is not null
    group by all
),

errors as (
    select
        experiment,
        dataset,
        model,
        num_parameters,
        method,
        measure,
        -- One cluster has no spread: null, not zero.
        sum(residual ^ 2) * count(*) / nullif(count(*) - 1, 0) as sum_of_squares
    from clusters
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
    means.mean_score,
    sqrt(errors.sum_of_squares) / means.n as standard_error,
    means.mean_score - t_quantile(means.n_items - 1) * sqrt(errors.sum_of_squares) / means.n as ci_low,
    means.mean_score + t_quantile(means.n_items - 1) * sqrt(errors.sum_of_squares) / means.n as ci_high,
    means.n,
    means.n_items,
    means.n_languages,
    means.n_unscored
from means
left join errors
    on errors.experiment = means.experiment
    and errors.dataset = means.dataset
    and errors.model = means.model
    and errors.num_parameters is not distinct from means.num_parameters
    and errors.method = means.method
    and errors.measure = means.measure
order by all
