-- Functions of the views, as macros, so that they work in every DuckDB client that opens the file.

-- 97.5% quantile of Student's t, for two-sided 95% intervals; null below one degree of freedom. Up to ten
-- degrees of freedom tabulated (of a fraction the next lower), then the expansion in 1/df of Abramowitz &
-- Stegun 26.7.5, whose error is below 1e-5 there, at the quantile 1.959964 of a normal variate. Numbers are
-- worked out, here and below: DuckDB plans a macro's text anew wherever it is named.
create or replace macro t_quantile(df) as
    case
        when df < 1 then null
        when df < 11 then
            [
                12.7062047, 4.3026527, 3.1824463, 2.7764451, 2.5705818, 2.4469119, 2.3646243, 2.3060041,
                2.2621572, 2.2281389
            ][floor(df)::integer]
        else 1.9599640 + (2.3722712787 + (2.8224987053 + (2.5558497912 + 1.5895341455 / df) / df) / df) / df
    end;

-- Wilson's 95% interval for a share of n (Wilson 1927): inside [0, 1] and of positive width even at 0 and 1.
-- Null without a share: `greatest` and `least` pass over nulls, so that it has to be said. A list of one
-- gives the arguments names: DuckDB puts a macro's arguments, long expressions here, wherever it names them,
-- and takes three times as long to plan what asks for an interval.
create or replace macro wilson_low(share, n) as
    [
        case
            when its.share is not null and its.n > 0 then
                greatest(
                    0,
                    (
                        its.share + 1.9207294 / its.n
                        - sqrt(3.8414588 / its.n * (its.share * (1 - its.share) + 0.9603647 / its.n))
                    )
                    / (1 + 3.8414588 / its.n)
                )
        end
        for its in [{share: share, n: n}]
    ][1];

create or replace macro wilson_high(share, n) as
    [
        case
            when its.share is not null and its.n > 0 then
                least(
                    1,
                    (
                        its.share + 1.9207294 / its.n
                        + sqrt(3.8414588 / its.n * (its.share * (1 - its.share) + 0.9603647 / its.n))
                    )
                    / (1 + 3.8414588 / its.n)
                )
        end
        for its in [{share: share, n: n}]
    ][1];

-- The score that a level of a judge's distribution stands for: itself where it is a number; how a comparison
-- ended; else null.
create or replace macro score_of_level(level) as
    case level
        when 'win' then 1
        when 'tie' then 0.5
        when 'loss' then 0
        else try_cast(level as double)
    end;

-- Variance of a judge's own distribution over levels, a list of {key: level, value: probability}; null where
-- a level is no score.
create or replace macro distribution_variance(levels) as
    case
        when len([level for level in levels if score_of_level(level.key) is null]) = 0 then
            greatest(
                0,
                list_sum([level.value * score_of_level(level.key) ^ 2 for level in levels])
                - list_sum([level.value * score_of_level(level.key) for level in levels]) ^ 2
            )
    end;

-- Items that a share would need to have the variance that a mean on [0, 1] has (Kish 1965), fewer for the
-- variance being an estimate with df degrees of freedom (Korn & Graubard 1998): of right/wrong scores, one an
-- item, n itself; n too where all scores are equal.
create or replace macro effective_n(share, variance, n, df) as
    [
        case
            when its.variance <= 1e-15 or its.of_one <= 1e-15 then n
            when df = n - 1 and abs(its.variance * df - its.of_one) < 1e-9 then n
            else its.of_one / its.variance * 3.8414588 / t_quantile(df) ^ 2
        end
        for its in [{variance: variance, of_one: share * (1 - share)}]
    ][1];

-- 95% interval of a mean over n items on a scale: Wilson's for an effective number of items, so that it stays
-- inside the scale and is never empty; without bounds Student's t. Null below two items, and where scores
-- without bounds are all equal. `intervals.py` is the same in Python.
create or replace macro interval_low(mean, standard_error, n, df, scale_low, scale_high) as
    case
        when n < 2 or mean is null then null
        when scale_high > scale_low then
            scale_low + (scale_high - scale_low) * wilson_low(
                least(1, greatest(0, (mean - scale_low) / (scale_high - scale_low))),
                effective_n(
                    (mean - scale_low) / (scale_high - scale_low),
                    (standard_error / (scale_high - scale_low)) ^ 2, n, df
                )
            )
        when standard_error > 0 then mean - t_quantile(df) * standard_error
    end;

create or replace macro interval_high(mean, standard_error, n, df, scale_low, scale_high) as
    case
        when n < 2 or mean is null then null
        when scale_high > scale_low then
            scale_low + (scale_high - scale_low) * wilson_high(
                least(1, greatest(0, (mean - scale_low) / (scale_high - scale_low))),
                effective_n(
                    (mean - scale_low) / (scale_high - scale_low),
                    (standard_error / (scale_high - scale_low)) ^ 2, n, df
                )
            )
        when standard_error > 0 then mean + t_quantile(df) * standard_error
    end;

-- The name of one question among those of a study: an item, and its turn where it has several.
create or replace macro item_turn(item, turn) as concat(item, '/' || turn);

-- The name of an answer that people label: equal texts that answer one item are one answer, whoever
-- gave them. It begins with a letter, or a spreadsheet would take one in some hundred for a number and round
-- it.
create or replace macro answer_id(experiment, dataset, language, item, text) as
    'a' || left(sha256(to_json([experiment, dataset, language, item, text])::varchar), 16);

-- The scope of an interval or test where a method was trained with one seed; null without training or with
-- several seeds.
create or replace macro scope_of_seeds(n_seeds) as case when n_seeds = 1 then 'this one trained model' end;

-- Mean over items, seeds averaged within an item, with the variance components of items and, where methods
-- were trained with several seeds, of seeds: (V_items + max(0, MS_seed - MS_residual) / (I S)), degrees of
-- freedom by Satterthwaite (1946). `seeds.py` is the same in Python. `found` names rows of keys (experiment,
-- dataset, model, method and train_languages among them), seed, item, cluster and value; the result has one
-- row for each keys. Errors are clustered (Liang & Zeger 1986); where items are not clustered, an item is
-- named as its own cluster.
create or replace macro mean_over_items(found) as table
with

items as (
    select
        * exclude (seed, value),
        avg(value) as item_mean,
        coalesce(var_pop(value) * count(value), 0) as squares,
        count(*) - count(value) as n_unscored
    from query_table(found)
    group by all
),

clusters as (
    select
        * exclude (item, cluster, item_mean, squares, n_unscored),
        item_mean as total,
        (item_mean is not null)::integer as size,
        squares,
        n_unscored
    from items
    where item = cluster
    union all by name
    select
        * exclude (item, item_mean, squares, n_unscored),
        sum(item_mean) as total,
        count(item_mean) as size,
        sum(squares) as squares,
        sum(n_unscored) as n_unscored
    from items
    where item <> cluster
    group by all
),

seeds as (
    select
        * exclude (item, cluster, value),
        avg(value) as seed_mean,
        count(value) as n_of_seed
    from query_table(found)
    group by all
    having count(value) > 0
),

totals as (
    select
        * exclude (seed, cluster, total, size, squares, n_unscored, seed_mean, n_of_seed),
        sum(size)::bigint as n,
        count(*) filter (where size > 0) as n_clusters,
        sum(total) / nullif(sum(size), 0) as mean,
        n_clusters / nullif(n_clusters - 1, 0) * n_clusters * (
            var_pop(total) filter (where size > 0)
            - 2 * mean * covar_pop(total, size) filter (where size > 0)
            + mean ^ 2 * var_pop(size) filter (where size > 0)
        ) / nullif(n, 0) ^ 2 as variance_of_items,
        sum(n_unscored)::bigint as n_unscored,
        count(seed_mean) as n_seeds,
        var_samp(seed_mean) / n_seeds as between_seeds,
        sum(n_of_seed) / nullif(n_seeds, 0) as n_items,
        greatest(0, sum(squares) - n_items * (n_seeds - 1) * var_samp(seed_mean))
        / nullif((n_items - 1) * (n_seeds - 1), 0) / (n_items * n_seeds) as residual
    from (from clusters union all by name from seeds)
    group by all
),

errors as (
    select
        *,
        case
            when train_languages <> '' and n_seeds > 1 then greatest(0, between_seeds - coalesce(residual, 0))
        end as variance_of_seeds,
        case
            when n_clusters > 1 then greatest(0, variance_of_items) + coalesce(variance_of_seeds, 0)
        end as variance
    from totals
),

asked as (
    select
        experiment,
        dataset,
        model,
        method,
        greatest(1, count(distinct seed)) as n_asked
    from asked_cells
    group by all
)

select
    errors.* exclude (
        mean, n, n_clusters, variance_of_items, n_unscored, n_seeds, between_seeds, n_items, residual,
        variance_of_seeds, variance
    ),
    mean,
    sqrt(variance) as standard_error,
    case
        when variance_of_seeds > 0 then
            greatest(
                1,
                variance ^ 2 / (
                    variance_of_items ^ 2 / (n_clusters - 1)
                    + between_seeds ^ 2 / (n_seeds - 1)
                    + coalesce(residual ^ 2 / nullif((n_clusters - 1) * (n_seeds - 1), 0), 0)
                )
            )
        else n_clusters - 1
    end as df,
    n,
    n_clusters,
    n_unscored,
    variance_of_seeds,
    n_seeds,
    greatest(0, n_asked - n_seeds) as n_seeds_missing,
    case when train_languages <> '' then scope_of_seeds(n_seeds) end as scope
from errors
left join asked using (experiment, dataset, model, method);

-- Share of answers with a fault, or a bound of it, from their mean score, or the other bound; null for judges
-- that look for none. A difference, gap or slope of such shares has the other sign.
create or replace macro share_with_fault(fault, score) as case when fault is not null then 1 - score end;
create or replace macro change_of_fault(fault, change) as case when fault is not null then 0 - change end;

-- Standard error of an estimate by the jackknife, from its values without each of the items (Efron & Stein
-- 1981). Null with fewer than two items, or where one of the values is null.
create or replace macro jackknife_standard_error(estimate) as
    case
        when count(*) > 1 and count(*) = count(estimate) then sqrt((count(*) - 1) * var_pop(estimate))
    end;
