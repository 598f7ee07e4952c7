-- One row per dataset, model, method and measure: what `score_by_model_size` shows and explains.
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
        judge_kind,
        measure,
        language,
        item_cluster,
        sum(total) / nullif(sum(n_scored), 0) as score,
        min(scale_low) as scale_low,
        max(scale_high) as scale_high,
        sum(n_unscored) as n_unscored,
        min(train_languages) as first_tuned,
        max(train_languages) as last_tuned
    from verdicts_by_item
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
            when min(first_tuned) = max(last_tuned) then any_value(first_tuned)
            else 'each'
        end as train_languages,
        any_value(judge_kind) as judge_kind,
        avg(score) as mean_score,
        min(scale_low) as scale_low,
        max(scale_high) as scale_high,
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
    means.mean_score,
    sqrt(errors.sum_of_squares) / means.n as standard_error,
    interval_low(means.mean_score, standard_error, means.n_items, means.n_items - 1, means.scale_low, means.scale_high) as ci_low,
    interval_high(means.mean_score, standard_error, means.n_items, means.n_items - 1, means.scale_low, means.scale_high) as ci_high,
    means.n,
    means.n_items,
    means.n_languages,
    means.n_unscored,
    answered.mean_characters,
    means.judge_kind,
    calibrated.languages as calibrated_languages
from means
left join answered
    on answered.experiment = means.experiment
    and answered.dataset = means.dataset
    and answered.model = means.model
    and answered.method = means.method
left join calibrated
    on calibrated.experiment = means.experiment
    and calibrated.dataset = means.dataset
    and calibrated.measure = means.measure
left join errors
    on errors.experiment = means.experiment
    and errors.dataset = means.dataset
    and errors.model = means.model
    and errors.num_parameters is not distinct from means.num_parameters
    and errors.method = means.method
    and errors.measure = means.measure
