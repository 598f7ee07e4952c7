-- One row per dataset, language, model, method, languages tuned on and measure whose mean differs between
-- the studies `$old` in `old` and `$new` in `new`: both means with their intervals, and the differences, new
-- minus old, on the items that both have a score for.
with

old_means as (
    select dataset, language, model, method, train_languages, judge, measure, mean_score, ci_low, ci_high, n
    from old.score_by_method_language
    where experiment = $old
),

new_means as (
    select dataset, language, model, method, train_languages, judge, measure, mean_score, ci_low, ci_high, n
    from new.score_by_method_language
    where experiment = $new
),

old_items as (
    select *, coalesce(turn, 0) as nth
    from old.verdicts_by_item
    where experiment = $old and score is not null
),

new_items as (
    select *, coalesce(turn, 0) as nth
    from new.verdicts_by_item
    where experiment = $new and score is not null
),

by_item as (
    select
        dataset,
        language,
        model,
        method,
        train_languages,
        judge,
        measure,
        item,
        avg(new_items.score - old_items.score) as difference,
        max(new_items.scale_high - new_items.scale_low) as width
    from old_items
    join new_items using (dataset, language, model, method, train_languages, judge, measure, item, nth)
    group by all
),

paired as (
    select
        dataset,
        language,
        model,
        method,
        train_languages,
        judge,
        measure,
        list(difference order by item) as differences,
        max(width) as width
    from by_item
    group by all
)

select
    dataset,
    language,
    model,
    method,
    train_languages,
    measure,
    old_means.mean_score as old_mean,
    old_means.ci_low as old_low,
    old_means.ci_high as old_high,
    coalesce(old_means.n, 0) as old_n,
    new_means.mean_score as new_mean,
    new_means.ci_low as new_low,
    new_means.ci_high as new_high,
    coalesce(new_means.n, 0) as new_n,
    coalesce(paired.differences, []) as differences,
    paired.width as width
from old_means
full join new_means using (dataset, language, model, method, train_languages, judge, measure)
left join paired using (dataset, language, model, method, train_languages, judge, measure)
where
    round(old_means.mean_score, $decimals) is distinct from round(new_means.mean_score, $decimals)
    or old_means.n is distinct from new_means.n
order by all
