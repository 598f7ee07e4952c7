-- One row per dataset, language, model, method, languages tuned on, opponent and measure of a comparison:
-- what `win_rate_by_method` shows and explains.
with

compared as (
    select
        *,
        (parts ->> '$.first')::double as score_first,
        (parts ->> '$.second')::double as score_second
    from verdicts
    where against is not null
),

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
        against,
        judge,
        judge_kind,
        aspect,
        measure,
        seed,
        item_turn(item, turn) as item,
        item as cluster,
        score as value
    from compared
),

orders as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        measure,
        count(score_first + score_second) filter (where score is not null) as n_both_orders,
        count(*) filter (where score is not null and score_first <> score_second) as n_inconsistent
    from compared
    group by all
)

select
    rates.experiment,
    rates.dataset,
    rates.language,
    rates.model,
    rates.num_parameters,
    rates.method,
    rates.method_kind,
    rates.train_languages,
    rates.against,
    rates.judge,
    rates.judge_kind,
    rates.aspect,
    rates.measure,
    100 * rates.mean as win_rate,
    100 * rates.standard_error as standard_error,
    100 * interval_low(rates.mean, rates.standard_error, rates.n_clusters, rates.df, 0, 1) as ci_low,
    100 * interval_high(rates.mean, rates.standard_error, rates.n_clusters, rates.df, 0, 1) as ci_high,
    rates.n,
    rates.n_unscored,
    rates.n_seeds,
    rates.n_seeds_missing,
    rates.scope,
    case when orders.n_both_orders > 0 then orders.n_inconsistent end as n_inconsistent,
    orders.n_inconsistent / nullif(orders.n_both_orders, 0) as share_inconsistent,
    cast(null as varchar) as stopped_by
from mean_over_items(found) as rates
left join orders using (experiment, dataset, language, model, method, train_languages, measure)
