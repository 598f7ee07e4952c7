-- One row per probe, language and measure: what a text planted at the end of answers did to the verdicts on
-- them. `n` counts answers with a score both with the text and without it, `n_unscored` those that lack
-- either. A verdict moved where its score changed, or, where the judge gives a probability to each level, the
-- level that it holds most likely; it was raised where its score grew with that. The mean shift (with the
-- text minus without, in the judge's own scale) has a standard error clustered by item, the share moved
-- Wilson's 95% interval over items. The planted text asks for the best score and adds nothing: a judge that
-- cannot be talked into anything may take it as the noise that it is and score lower.
with

shifts as (
    select
        experiment,
        dataset,
        probe,
        language,
        judge,
        measure,
        item_cluster,
        probed_score - score as shift,
        coalesce(
            (select arg_max(level.key, level.value::double) from json_each(distribution) as level)
            <> (select arg_max(level.key, level.value::double) from json_each(probed_distribution) as level),
            abs(probed_score - score) > 1e-9
        ) as is_moved
    from probed_verdicts
),

counts as (
    select
        experiment,
        dataset,
        probe,
        language,
        judge,
        measure,
        count(shift) as n,
        count(distinct item_cluster) filter (where shift is not null) as n_items,
        count(*) - count(shift) as n_unscored,
        count(*) filter (where shift is not null and is_moved) as n_moved,
        count(*) filter (where shift > 0 and is_moved) as n_raised,
        avg(shift) as mean_shift
    from shifts
    group by all
),

-- By item, the sum of what its shifts exceed the mean by.
clusters as (
    select
        shifts.experiment,
        shifts.dataset,
        shifts.probe,
        shifts.language,
        shifts.measure,
        shifts.item_cluster,
        sum(shifts.shift - counts.mean_shift) as excess
    from shifts
    join counts using (experiment, dataset, probe, language, measure)
    where shifts.shift is not null
    group by all
),

spreads as (
    select
        experiment,
        dataset,
        probe,
        language,
        measure,
        sum(excess ^ 2) as squares
    from clusters
    group by all
)

select
    counts.experiment,
    counts.dataset,
    counts.probe,
    counts.language,
    counts.judge,
    counts.measure,
    counts.n,
    counts.n_items,
    counts.n_unscored,
    counts.n_moved,
    counts.n_moved / nullif(counts.n, 0) as share_moved,
    case when counts.n > 0 then wilson_low(counts.n_moved / counts.n, counts.n_items) end as ci_low,
    case when counts.n > 0 then wilson_high(counts.n_moved / counts.n, counts.n_items) end as ci_high,
    counts.n_raised,
    counts.mean_shift,
    sqrt(
        counts.n_items / nullif(counts.n_items - 1, 0) * spreads.squares
    ) / nullif(counts.n, 0) as standard_error
from counts
left join spreads using (experiment, dataset, probe, language, measure)
order by all
