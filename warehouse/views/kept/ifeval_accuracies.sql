-- One row per dataset, language, model, method, languages tuned on, `ifeval` judge, strictness and unit: what `ifeval_accuracy` shows and
-- explains.
with

judged as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        judge,
        aspect as strictness,
        item,
        score,
        parts
    from verdicts
    where judge_kind = 'ifeval'
),

prompts as (
    select
        * exclude (score, parts),
        avg(score) as followed,
        count(*) - count(score) as n_unscored
    from judged
    group by all
),

parts as (
    select
        * exclude (score, parts),
        unnest(map_entries(parts::map(varchar, double))) as part
    from judged
    where score is not null
),

instructions as (
    select
        * exclude (part),
        part.key as instruction,
        avg(part.value) as followed
    from parts
    group by all
),

-- The instructions of one prompt share its answer: they are one draw.
clusters as (
    select
        * exclude (instruction, followed),
        sum(followed) as n_followed,
        count(*) as n
    from instructions
    group by all
),

by_prompt as (
    select
        * exclude (item, followed, n_unscored),
        avg(followed) as accuracy,
        stddev_samp(followed) / sqrt(count(followed)) as standard_error,
        count(followed) as n,
        sum(n_unscored)::bigint as n_unscored
    from prompts
    group by all
),

-- A ratio of two sums over prompts; its error from the sums' residuals, as least squares with clustered errors has it (Liang & Zeger 1986).
ratios as (
    select
        * exclude (item, n_followed, n),
        sum(n_followed) / sum(n) as accuracy,
        count(*) as n_clusters,
        sum(n_followed ^ 2) as followed_squared,
        sum(n_followed * n) as followed_times_n,
        sum(n ^ 2) as n_squared,
        sum(n)::bigint as n
    from clusters
    group by all
),

by_instruction as (
    select
        * exclude (followed_squared, followed_times_n, n_squared),
        sqrt(
            n_clusters / nullif(n_clusters - 1, 0)
            * greatest(0, followed_squared - 2 * accuracy * followed_times_n + accuracy ^ 2 * n_squared)
        ) / n as standard_error
    from ratios
)

select
    by_prompt.experiment,
    by_prompt.dataset,
    by_prompt.language,
    by_prompt.model,
    by_prompt.method,
    by_prompt.train_languages,
    by_prompt.judge,
    by_prompt.strictness,
    'prompt' as unit,
    by_prompt.accuracy,
    by_prompt.standard_error,
    interval_low(by_prompt.accuracy, by_prompt.standard_error, by_prompt.n, by_prompt.n - 1, 0, 1) as ci_low,
    interval_high(by_prompt.accuracy, by_prompt.standard_error, by_prompt.n, by_prompt.n - 1, 0, 1) as ci_high,
    by_prompt.n,
    by_prompt.n_unscored
from by_prompt

union all by name

select
    by_prompt.experiment,
    by_prompt.dataset,
    by_prompt.language,
    by_prompt.model,
    by_prompt.method,
    by_prompt.train_languages,
    by_prompt.judge,
    by_prompt.strictness,
    'instruction' as unit,
    by_instruction.accuracy,
    by_instruction.standard_error,
    interval_low(by_instruction.accuracy, by_instruction.standard_error, n_clusters, n_clusters - 1, 0, 1) as ci_low,
    interval_high(by_instruction.accuracy, by_instruction.standard_error, n_clusters, n_clusters - 1, 0, 1) as ci_high,
    coalesce(by_instruction.n, 0) as n,
    by_prompt.n_unscored
from by_prompt
left join by_instruction using (experiment, dataset, language, model, method, train_languages, judge, strictness)
