-- One row per dataset, language, model, method, languages tuned on, opponent and measure of a comparison: what `win_rate_by_method` shows
-- and explains.
with

compared as (
    select
        *,
        (parts ->> '$.first')::double as score_first,
        (parts ->> '$.second')::double as score_second
    from verdicts
    where against is not null
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
        against,
        judge,
        judge_kind,
        aspect,
        measure,
        item,
        avg(score) as score,
        count(*) - count(score) as n_unscored,
        count(score_first + score_second) filter (where score is not null) as n_both_orders,
        count(*) filter (where score is not null and score_first <> score_second) as n_inconsistent
    from compared
    group by all
),

rates as (
    select
        * exclude (item, score, n_unscored, n_both_orders, n_inconsistent),
        100 * avg(score) as win_rate,
        100 * stddev_samp(score) / sqrt(count(score)) as standard_error,
        count(score) as n,
        sum(n_unscored)::bigint as n_unscored,
        sum(n_both_orders)::bigint as n_both_orders,
        sum(n_inconsistent)::bigint as n_inconsistent
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
    against,
    judge,
    judge_kind,
    aspect,
    measure,
    win_rate,
    standard_error,
    100 * interval_low(win_rate / 100, standard_error / 100, n, n - 1, 0, 1) as ci_low,
    100 * interval_high(win_rate / 100, standard_error / 100, n, n - 1, 0, 1) as ci_high,
    n,
    n_unscored,
    case when n_both_orders > 0 then n_inconsistent end as n_inconsistent,
    n_inconsistent / nullif(n_both_orders, 0) as share_inconsistent
from rates
