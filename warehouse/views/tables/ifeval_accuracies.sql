-- One row per dataset, language, model, method, languages tuned on, `ifeval` judge, strictness and unit: what
-- `ifeval_accuracy` shows and explains.
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
        seed,
        item_turn(item, turn) as item,
        item as cluster,
        score,
        parts
    from verdicts
    where judge_kind = 'ifeval'
),

-- Of a verdict without a score no instruction is known: it counts as unscored in both.
parts as (
    select
        * exclude (score, parts),
        unnest(case when score is null then [null] else map_entries(parts::map(varchar, double)) end) as part
    from judged
),

-- The instructions of one prompt share its answer: they are one draw.
found as (
    select
        * exclude (score, parts),
        'prompt' as unit,
        score as value
    from judged
    union all by name
    select
        * exclude (part) replace (item || '/' || coalesce(part.key, '') as item),
        'instruction' as unit,
        part.value as value
    from parts
)

select
    experiment,
    dataset,
    language,
    model,
    method,
    train_languages,
    judge,
    strictness,
    unit,
    mean as accuracy,
    standard_error,
    interval_low(mean, standard_error, n_clusters, df, 0, 1) as ci_low,
    interval_high(mean, standard_error, n_clusters, df, 0, 1) as ci_high,
    n,
    n_unscored,
    n_seeds,
    n_seeds_missing,
    scope,
    cast(null as varchar) as stopped_by
from mean_over_items(found)
