-- One row per dataset, language (and `all` of them together) and pair of judges that answer one question: how
-- far their scores of the same answers agree. One question have judges of the same aspect; judges that say of
-- an answer as a whole whether it is better than one opponent's; and those that say of it as a whole how good
-- or right it is (checks, people, recorded scores, an ensemble). What people say of an answer as a whole is
-- also set beside each aspect of its quality that judges score. An ensemble is not set beside its own
-- members, nor a judge beside one whose scale is known to be another: scores are taken as they are. `n`
-- counts answers that both scored, `n_unscored` those that either left unscored; `agreement` is the share of
-- equal scores, `mean_difference` a's mean minus b's.
--
-- `quadratic_kappa` is Cohen's kappa with quadratic weights (Cohen 1968): one minus the mean squared
-- difference over what it would be if the two scored independently, var a + var b + (mean a - mean b)^2.
-- `krippendorff_alpha` is for interval data (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability).
-- Null where no score differs. Standard errors are the jackknife's over items; the interval of `agreement` is
-- Wilson's for an effective number of items. Of `n_where_judges_disagree` answers people were asked since
-- judges disagree on them: agreement is lower there than elsewhere.
with

clusters as (
    select
        judge_pairs.* exclude (
            language, model, n, n_unscored, n_equal, n_where_judges_disagree, sum_x, sum_y, squares,
            squared_differences
        ),
        places.language,
        sum(n)::bigint as n,
        sum(n_unscored)::bigint as n_unscored,
        sum(n_equal)::bigint as n_equal,
        sum(n_where_judges_disagree)::bigint as n_where_judges_disagree,
        sum(sum_x) as sum_x,
        sum(sum_y) as sum_y,
        sum(squares) as squares,
        sum(squared_differences) as squared_differences
    from judge_pairs, lateral (select unnest([judge_pairs.language, 'all']) as language) as places
    group by all
),

totals as (
    select
        * exclude (
            item_cluster, n, n_unscored, n_equal, n_where_judges_disagree, sum_x, sum_y, squares,
            squared_differences
        ),
        sum(n)::bigint as n,
        count(*) filter (where n > 0) as n_items,
        sum(n_unscored)::bigint as n_unscored,
        sum(n_equal)::bigint as n_equal,
        sum(n_where_judges_disagree)::bigint as n_where_judges_disagree,
        sum(sum_x) as sum_x,
        sum(sum_y) as sum_y,
        sum(squares) as squares,
        sum(squared_differences) as squared_differences
    from clusters
    group by all
),

-- All items (where `without` is null), and all but one.
folds as (
    select
        totals.* replace (
            totals.n - coalesce(clusters.n, 0) as n,
            totals.n_equal - coalesce(clusters.n_equal, 0) as n_equal,
            totals.sum_x - coalesce(clusters.sum_x, 0) as sum_x,
            totals.sum_y - coalesce(clusters.sum_y, 0) as sum_y,
            totals.squares - coalesce(clusters.squares, 0) as squares,
            totals.squared_differences - coalesce(clusters.squared_differences, 0) as squared_differences
        ),
        clusters.item_cluster as without
    from totals
    join (
        select * from clusters where n > 0
        union all by name
        select experiment, dataset, language, measure_a, measure_b from totals
    ) as clusters using (experiment, dataset, language, measure_a, measure_b)
),

agreements as (
    select
        *,
        -- Rounding must not pass for spread.
        (squares - (sum_x ^ 2 + sum_y ^ 2) / n) / n + ((sum_x - sum_y) / n) ^ 2 as chance_of_two,
        (squares - (sum_x + sum_y) ^ 2 / (2 * n)) / (2 * n - 1) * 2 as chance_of_all,
        case when chance_of_two > 1e-12 then 1 - squared_differences / n / chance_of_two end as kappa,
        case when chance_of_all > 1e-12 then 1 - squared_differences / n / chance_of_all end as alpha
    from folds
    where n > 0
),

jackknife as (
    select
        experiment,
        dataset,
        language,
        measure_a,
        measure_b,
        jackknife_standard_error(n_equal / n) as agreement_standard_error,
        jackknife_standard_error(kappa) as kappa_standard_error,
        jackknife_standard_error(alpha) as alpha_standard_error
    from agreements
    where without is not null
    group by all
)

select
    totals.experiment,
    totals.dataset,
    totals.language,
    totals.judge_a,
    totals.judge_b,
    totals.judge_kind_a,
    totals.judge_kind_b,
    totals.measure_a,
    totals.measure_b,
    totals.n,
    totals.n_items,
    totals.n_unscored,
    totals.n_where_judges_disagree,
    agreements.kappa as quadratic_kappa,
    jackknife.kappa_standard_error as quadratic_kappa_standard_error,
    agreements.alpha as krippendorff_alpha,
    jackknife.alpha_standard_error as krippendorff_alpha_standard_error,
    totals.n_equal / nullif(totals.n, 0) as agreement,
    jackknife.agreement_standard_error,
    interval_low(
        agreement, agreement_standard_error, totals.n_items, totals.n_items - 1, 0, 1
    ) as agreement_ci_low,
    interval_high(
        agreement, agreement_standard_error, totals.n_items, totals.n_items - 1, 0, 1
    ) as agreement_ci_high,
    (totals.sum_x - totals.sum_y) / nullif(totals.n, 0) as mean_difference
from totals
left join agreements
    on
        (totals.experiment, totals.dataset, totals.language, totals.measure_a, totals.measure_b)
        = (
            agreements.experiment, agreements.dataset, agreements.language, agreements.measure_a,
            agreements.measure_b
        )
        and agreements.without is null
left join jackknife
    on
        (totals.experiment, totals.dataset, totals.language, totals.measure_a, totals.measure_b)
        = (
            jackknife.experiment, jackknife.dataset, jackknife.language, jackknife.measure_a,
            jackknife.measure_b
        )
order by all
