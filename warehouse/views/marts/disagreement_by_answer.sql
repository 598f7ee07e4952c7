-- One row per dataset, language, item and different text that it was answered with, where several judges
-- answered one question of it on one scale: how far their scores lie apart at most, as a share of the scale.
-- People and ensembles are not among these judges.
with

by_question as (
    select
        verdicts.experiment,
        verdicts.dataset,
        verdicts.language,
        verdicts.item,
        verdicts.turn,
        verdicts.cell_id,
        verdicts.scale_low,
        verdicts.scale_high,
        verdicts.against,
        verdicts_by_cell.question,
        max(verdicts.score) - min(verdicts.score) as apart,
        count(distinct verdicts.judge) as n_judges
    from verdicts
    join verdicts_by_cell
        on verdicts_by_cell.cell_id = verdicts.cell_id and verdicts_by_cell.measure = verdicts.measure
    where
        verdicts.score is not null
        and verdicts.scale_high > verdicts.scale_low
        and verdicts.judge_kind not in ('human', 'ensemble')
    group by all
)

select
    completions.experiment,
    completions.dataset,
    completions.language,
    completions.item,
    completions.turn,
    answer_id(
        completions.experiment,
        completions.dataset,
        completions.language,
        item_turn(completions.item, completions.turn),
        completions.text
    ) as answer_id,
    max(by_question.apart / (by_question.scale_high - by_question.scale_low)) as disagreement,
    max(by_question.n_judges) as n_judges
from by_question
join completions
    on completions.cell_id = by_question.cell_id
        and completions.item = by_question.item
        and completions.turn is not distinct from by_question.turn
where by_question.n_judges > 1 and completions.text is not null and not completions.is_replicate
group by all
order by all
