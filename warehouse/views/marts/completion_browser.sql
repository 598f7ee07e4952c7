-- One row per cell and item: the conversation, the question, the answer and every verdict on it. All text is
-- data, to be shown as it is.
with

verdicts_of_answer as (
    select
        cell_id,
        item,
        list(
            {
                measure: measure,
                score: score,
                parts: parts,
                unscored_reason: unscored_reason,
                reason: reason
            }
            order by measure
        ) as scores
    from verdicts
    group by all
)

select
    shown_answers.*,
    verdicts_of_answer.scores
from shown_answers
left join verdicts_of_answer
    on verdicts_of_answer.cell_id = shown_answers.cell_id and verdicts_of_answer.item = shown_answers.item
order by
    shown_answers.experiment,
    shown_answers.dataset,
    shown_answers.item,
    shown_answers.language,
    shown_answers.model,
    shown_answers.method,
    shown_answers.train_languages,
    shown_answers.seed,
    shown_answers.turn
