-- One row per judge, measure, language and method: how many verdicts have no score, and the reason given most
-- often. `n` counts scores.
with

counts as (
    select
        experiment,
        judge,
        measure,
        language,
        method,
        coalesce(sum(n) filter (where reason is null), 0)::bigint as n,
        coalesce(sum(n) filter (where reason is not null), 0)::bigint as n_unscored
    from unscored_reasons
    group by all
),

reasons as (
    select
        experiment,
        judge,
        measure,
        language,
        method,
        reason,
        sum(n) as n_reason
    from unscored_reasons
    where reason is not null
    group by all
),

most_common as (
    select
        experiment,
        judge,
        measure,
        language,
        method,
        reason as most_common_reason
    from reasons
    qualify row_number() over (
        partition by experiment, judge, measure, language, method order by n_reason desc, reason
    ) = 1
)

select
    counts.experiment,
    counts.judge,
    counts.measure,
    counts.language,
    counts.method,
    counts.n,
    counts.n_unscored,
    counts.n_unscored / (counts.n + counts.n_unscored) as share_unscored,
    most_common.most_common_reason
from counts
left join most_common using (experiment, judge, measure, language, method)
order by all
