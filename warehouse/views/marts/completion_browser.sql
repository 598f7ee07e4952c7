-- One row per cell and item: the question, the answer and every verdict on it. All text is data, to be shown as it is.
with

verdicts_of_answer as (
    select
        cell_id,
        item,
        list(
            {
                measure: measure,
                score: score,
                unscored_reason: unscored_reason,
                reason: reason
            }
            order by measure
        ) as scores
    from scores
    group by all
)

select
    answers.experiment,
    answers.dataset,
    answers.item,
    answers.language,
    answers.model,
    answers.num_parameters,
    answers.method,
    answers.train_languages,
    answers.seed,
    answers.cell_id,
    items.category,
    items.instruction,
    items.answers as accepted_answers,
    items.reference,
    sent_prompts.prompt,
    answers.text,
    answers.raw_text,
    answers.finish_reason,
    answers.stop_string,
    answers.error,
    answers.n_new_tokens,
    verdicts_of_answer.scores
from answers
left join items using (experiment, dataset, language, item)
left join sent_prompts on sent_prompts.prompt_id = answers.prompt_id
left join verdicts_of_answer on verdicts_of_answer.cell_id = answers.cell_id and verdicts_of_answer.item = answers.item
order by
    answers.experiment,
    answers.dataset,
    answers.item,
    answers.language,
    answers.model,
    answers.method,
    answers.train_languages,
    answers.seed
