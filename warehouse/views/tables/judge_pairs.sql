-- One row per dataset, language, model, item and pair of judges that answer one question: sums over the
-- answers that `judge_agreement` is made of.
with

answered as (
    select distinct cell_id, step_id
    from completions
),

-- One answer that serves several cells is one answer: the first of them counts.
pairs as (
    select
        a.cell_id,
        a.judge as judge_a,
        b.judge as judge_b,
        a.judge_kind as judge_kind_a,
        b.judge_kind as judge_kind_b,
        a.measure as measure_a,
        b.measure as measure_b
    from verdicts_by_cell as a
    join verdicts_by_cell as b
        on
            a.experiment = b.experiment
            and a.cell_id = b.cell_id
            and (
                a.question = b.question
                or a.aspect = b.aspect
                -- What people say of an answer as a whole stands beside all that is said of its quality.
                or (a.judge_kind = 'human' and a.question = 'is it good' and b.role = 'quality')
                or (b.judge_kind = 'human' and b.question = 'is it good' and a.role = 'quality')
            )
            and a.against is not distinct from b.against
            and a.judge <> b.judge
            and a.measure < b.measure
    join answered on answered.cell_id = a.cell_id
    where
        coalesce(a.scale_low = b.scale_low, true)
        and coalesce(a.scale_high = b.scale_high, true)
    qualify
        min(a.cell_id) over (
            partition by a.model, a.language, answered.step_id, a.judge, b.judge, a.measure, b.measure,
            a.step_id, b.step_id
        )
        = a.cell_id
),

units as (
    select
        a.experiment,
        a.dataset,
        a.language,
        a.model,
        pairs.* exclude (cell_id),
        a.item_cluster,
        a.score as x,
        b.score as y,
        coalesce(a.drawn, b.drawn, '') = 'disagreement' as is_where_judges_disagree
    from pairs
    join verdicts as a on a.cell_id = pairs.cell_id and a.measure = pairs.measure_a
    join verdicts as b on b.cell_id = a.cell_id and b.item = a.item and b.measure = pairs.measure_b
    where
        not (a.judge_kind = 'ensemble' and coalesce(list_contains(json_keys(a.parts), b.judge), false))
        and not (b.judge_kind = 'ensemble' and coalesce(list_contains(json_keys(b.parts), a.judge), false))
)

select
    experiment,
    dataset,
    language,
    model,
    judge_a,
    judge_b,
    judge_kind_a,
    judge_kind_b,
    measure_a,
    measure_b,
    item_cluster,
    count(x + y) as n,
    count(*) - count(x + y) as n_unscored,
    count(*) filter (where abs(x - y) < 1e-9) as n_equal,
    count(x + y) filter (where is_where_judges_disagree) as n_where_judges_disagree,
    coalesce(sum(x) filter (where y is not null), 0) as sum_x,
    coalesce(sum(y) filter (where x is not null), 0) as sum_y,
    coalesce(sum(x ^ 2 + y ^ 2), 0) as squares,
    coalesce(sum((x - y) ^ 2), 0) as squared_differences
from units
group by all
