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
        var_samp(score) as variance_of_items,
        sqrt(avg(judge_variance)) as judge_standard_deviation,
        min(scale_low) as scale_low,
        max(scale_high) as scale_high,
        count(score) as n,
        bit_xor(hash(item)) filter (where score is not null) as item_set_id,
        sum(n_unscored)::bigint as n_unscored
    from verdicts_by_item
    group by all
),

seed_means as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        measure,
        seed,
        avg(score) as mean_score,
        count(score) as n,
        coalesce(var_samp(score) * (count(score) - 1), 0) as squares
    from verdicts
    group by all
),

-- A model trained with another seed is another model: its mean moves by more than its items' scores do. The mean squares are those of a
-- two-way analysis of variance of items and seeds.
seeds as (
    select
        * exclude (seed, mean_score, n, squares),
        count(*) filter (where n > 0) as n_seeds,
        var_samp(mean_score) as variance_of_seeds,
        sum(squares) as squares_within_seeds,
        sum(n) / count(*) filter (where n > 0) as n_items
    from seed_means
    group by all
),

asked as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        greatest(1, count(distinct seed)) as n_asked
    from asked_cells
    group by all
),

components as (
    select
        measured.*,
        seeds.n_seeds,
        measured.variance_of_items / measured.n as between_items,
        case when measured.train_languages <> '' and seeds.n_seeds > 1 then seeds.variance_of_seeds / seeds.n_seeds end as between_seeds,
        greatest(
            0,
            (seeds.squares_within_seeds - seeds.n_seeds * (seeds.n_items - 1) * measured.variance_of_items)
            / nullif((seeds.n_items - 1) * (seeds.n_seeds - 1), 0)
            / (seeds.n_items * seeds.n_seeds)
        ) as residual
    from measured
    left join seeds using (experiment, dataset, language, model, method, train_languages, measure)
),

errors as (
    select
        *,
        coalesce(between_seeds > residual, false) as is_over_seeds,
        case when is_over_seeds then between_items + between_seeds - residual else between_items end as variance,
        -- Satterthwaite (1946).
        case
            when is_over_seeds then
                greatest(
                    1,
                    variance ^ 2 / (
                        between_items ^ 2 / (n - 1) + between_seeds ^ 2 / (n_seeds - 1) + residual ^ 2 / ((n - 1) * (n_seeds - 1))
                    )
                )
            else n - 1
        end as df
    from components
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
    errors.experiment,
    errors.dataset,
    errors.language,
    errors.model,
    errors.num_parameters,
    errors.method,
    errors.method_kind,
    errors.train_languages,
    errors.judge,
    errors.measure,
    errors.mean_score,
    sqrt(errors.variance) as standard_error,
    interval_low(errors.mean_score, sqrt(errors.variance), errors.n, errors.df, errors.scale_low, errors.scale_high) as ci_low,
    interval_high(errors.mean_score, sqrt(errors.variance), errors.n, errors.df, errors.scale_low, errors.scale_high) as ci_high,
    errors.judge_standard_deviation,
    errors.n,
    errors.item_set_id,
    errors.n_unscored,
    coalesce(errors.n_seeds, 0) as n_seeds,
    greatest(0, asked.n_asked - coalesce(errors.n_seeds, 0)) as n_seeds_missing,
    answered.mean_characters
from errors
left join answered using (experiment, dataset, language, model, method, train_languages)
left join asked using (experiment, dataset, language, model, method, train_languages)
