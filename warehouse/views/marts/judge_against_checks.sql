-- One row per dataset, language, measure that is a model's opinion and measure that was checked by rule: on
-- the answers that both scored, how often the opinion puts a right answer above a wrong one. `auc` is that
-- share of all pairs of a right and a wrong answer, a tie counting one half (Mann & Whitney 1947); 0.5 is
-- chance. `n` counts answers scored by both, `n_unscored` those that one left unscored.
--
-- Several methods, models and seeds answer the same item, so the standard error is clustered by item: each
-- answer's placement among those of the other side (DeLong, DeLong & Clarke-Pearson 1988), summed within
-- items (Obuchowski 1997, Nonparametric analysis of clustered ROC curve data, Biometrics 53: 567-578). It is
-- null unless two items have a right answer and two a wrong one. The 95% interval is made for the logit of
-- `auc` (Pepe 2003), so that it stays within 0 and 1, with Student's t on one degree of freedom less than the
-- side with fewer items has. It is null where the standard error is zero: answers that do not differ say
-- nothing of others.
with

answers as (
    select
        * exclude (model, n),
        sum(n)::bigint as n_alike
    from checked_opinions
    group by all
),

counts as (
    select
        experiment,
        dataset,
        language,
        judge,
        measure,
        checked_judge,
        checked_measure,
        coalesce(sum(n_alike) filter (where is_scored and is_right), 0)::bigint as n_right,
        coalesce(sum(n_alike) filter (where is_scored and not is_right), 0)::bigint as n_wrong,
        coalesce(sum(n_alike) filter (where is_scored), 0)::bigint as n,
        coalesce(sum(n_alike) filter (where not is_scored), 0)::bigint as n_unscored,
        count(distinct item_cluster) filter (where is_scored) as n_items,
        count(distinct item_cluster) filter (where is_scored and is_right) as n_items_right,
        count(distinct item_cluster) filter (where is_scored and not is_right) as n_items_wrong,
        sum(opinion * n_alike) filter (where is_scored and is_right) / nullif(n_right, 0) as mean_of_right,
        sum(opinion * n_alike) filter (where is_scored and not is_right) / nullif(n_wrong, 0) as mean_of_wrong
    from answers
    group by all
),

ranked as (
    select
        *,
        coalesce(sum(n_alike) filter (where is_right) over below, 0) as n_right_up_to,
        coalesce(sum(n_alike) filter (where is_right) over level, 0) as n_right_level,
        coalesce(sum(n_alike) filter (where not is_right) over below, 0) as n_wrong_up_to,
        coalesce(sum(n_alike) filter (where not is_right) over level, 0) as n_wrong_level
    from answers
    where is_scored
    window
        -- Ordered windows reach to the last of the rows that are level with this one.
        below as (partition by experiment, dataset, language, measure, checked_measure order by opinion),
        level as (partition by experiment, dataset, language, measure, checked_measure, opinion)
),

-- The share of the other side's answers that answers of one level are in the right order with.
placed as (
    select
        ranked.*,
        case
            when is_right then (n_wrong_up_to - n_wrong_level / 2) / counts.n_wrong
            else 1 - (n_right_up_to - n_right_level / 2) / counts.n_right
        end as placement
    from ranked
    join counts using (experiment, dataset, language, measure, checked_measure)
    where counts.n_right > 0 and counts.n_wrong > 0
),

areas as (
    select
        experiment,
        dataset,
        language,
        measure,
        checked_measure,
        sum(placement * n_alike) filter (where is_right) / sum(n_alike) filter (where is_right) as auc
    from placed
    group by all
),

-- Over a side's answers to one item, the sum of what their placements exceed the mean by.
clusters as (
    select
        placed.experiment,
        placed.dataset,
        placed.language,
        placed.measure,
        placed.checked_measure,
        placed.item_cluster,
        any_value(areas.auc) as auc,
        coalesce(sum((placement - auc) * n_alike) filter (where is_right), 0) as excess_right,
        coalesce(sum((placement - auc) * n_alike) filter (where not is_right), 0) as excess_wrong
    from placed
    join areas using (experiment, dataset, language, measure, checked_measure)
    group by all
),

sums as (
    select
        experiment,
        dataset,
        language,
        measure,
        checked_measure,
        any_value(auc) as auc,
        sum(excess_right ^ 2) as squares_right,
        sum(excess_wrong ^ 2) as squares_wrong,
        sum(excess_right * excess_wrong) as products
    from clusters
    group by all
),

variances as (
    select
        counts.*,
        sums.auc,
        -- S10 / M + S01 / N + 2 S11 / (M N) in Obuchowski's letters.
        n_items_right / nullif(n_items_right - 1, 0) * squares_right / n_right ^ 2
        + n_items_wrong / nullif(n_items_wrong - 1, 0) * squares_wrong / n_wrong ^ 2
        + 2 * n_items / nullif(n_items - 1, 0) * products / (n_right * n_wrong) as variance
    from counts
    left join sums using (experiment, dataset, language, measure, checked_measure)
),

estimates as (
    select
        *,
        -- A variance of zero may come as a rounding error on either side of it.
        sqrt(abs(round(variance, 15))) as standard_error,
        ln(nullif(auc, 0) / nullif(1 - auc, 0)) as logit,
        t_quantile(
            least(n_items_right, n_items_wrong) - 1
        ) * nullif(standard_error, 0) / (auc * (1 - auc)) as half_width
    from variances
)

select
    experiment,
    dataset,
    language,
    judge,
    measure,
    checked_judge,
    checked_measure,
    auc,
    standard_error,
    1 / (1 + exp(half_width - logit)) as ci_low,
    1 / (1 + exp(-half_width - logit)) as ci_high,
    n_right,
    n_wrong,
    n,
    n_unscored,
    n_items,
    n_items_right,
    n_items_wrong,
    mean_of_right,
    mean_of_wrong
from estimates
order by all
