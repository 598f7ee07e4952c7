-- One row per dataset, language, model, item, question that several judges answer, and scale (empty for all
-- of them together): sums over the answers that `judge_reliability` is made of.
with

asked as (
    select *
    from verdicts_by_cell
    where judge_kind <> 'ensemble'
),

judges as (
    select
        judge,
        1::hugeint << (row_number() over (order by judge) - 1)::integer as bit
    from asked
    group by judge
),

answered as (
    select distinct cell_id, step_id as generate_step_id
    from completions
),

-- One answer that serves several cells is one answer: the first of them counts.
given as (
    select
        asked.cell_id,
        asked.measure,
        asked.question,
        coalesce(format('{:g} to {:g}', scale_low, scale_high), '') as known_scale,
        judges.bit,
        answered.generate_step_id
    from asked
    join answered using (cell_id)
    join judges using (judge)
    qualify
        min(asked.cell_id) over (
            partition by asked.model, generate_step_id, asked.language, judge, asked.step_id, measure
        ) = asked.cell_id
        and min(judge) over (
            partition by asked.model, asked.language, question
        ) < max(judge) over (partition by asked.model, asked.language, question)
),

by_scale as (
    select
        verdicts.experiment,
        verdicts.dataset,
        verdicts.language,
        verdicts.model,
        given.question,
        given.known_scale as scale,
        given.generate_step_id,
        verdicts.item,
        verdicts.item_cluster,
        verdicts.against,
        bit_or(given.bit) as judges,
        count(verdicts.score) as n_scores,
        count(*) - count(verdicts.score) as n_unscored,
        sum(verdicts.score) as total,
        sum(verdicts.score ^ 2) as squares
    from verdicts
    join given on given.cell_id = verdicts.cell_id and given.measure = verdicts.measure
    group by all
),

units as (
    select *
    from by_scale
    where scale <> ''
    union all by name
    select
        * exclude (scale, judges, n_scores, n_unscored, total, squares),
        '' as scale,
        bit_or(judges) as judges,
        sum(n_scores) as n_scores,
        sum(n_unscored) as n_unscored,
        sum(total) as total,
        sum(squares) as squares
    from by_scale
    group by all
),

sums as (
    select
        experiment,
        dataset,
        language,
        model,
        question,
        scale,
        item_cluster,
        count(*) filter (where n_scores > 1) as n,
        count(*) filter (where n_scores < 2) as n_unscored,
        coalesce(sum(n_scores) filter (where n_scores > 1), 0) as n_scores,
        coalesce(sum(total) filter (where n_scores > 1), 0) as total,
        coalesce(sum(squares) filter (where n_scores > 1), 0) as squares,
        -- Squared differences between the scores of a unit, each unit weighing as many as it has scores.
        coalesce(
            sum((n_scores * squares - total ^ 2) / (n_scores - 1)) filter (where n_scores > 1), 0
        ) as within,
        bit_or(judges) as judges
    from units
    where bit_count(judges) > 1
    group by all
),

names as (
    select sets.judges, list(judges.judge order by judges.judge) as names
    from (select distinct judges from sums) as sets
    join judges on judges.bit & sets.judges <> 0
    group by all
)

select
    sums.* exclude (judges),
    names.names as judges
from sums
join names using (judges)
