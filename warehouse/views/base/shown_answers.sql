-- One row per cell and item: the question, the prompt and the answer. All text is data, to be shown as it is.
-- Replicates are left out.
select
    completions.experiment,
    completions.dataset,
    completions.item,
    completions.turn,
    completions.language,
    completions.model,
    completions.num_parameters,
    completions.method,
    completions.train_languages,
    completions.seed,
    completions.cell_id,
    items.category,
    -- With the model's own answers, where its questions are asked in turn.
    case when len(completions.turns) > 0 then completions.turns else items.turns end as turns,
    items.instruction,
    items.answers as accepted_answers,
    items.reference,
    sent_prompts.prompt,
    completions.text,
    completions.raw_text,
    completions.finish_reason,
    completions.stop_string,
    completions.error,
    completions.n_new_tokens
from completions
left join items
    on items.experiment = completions.experiment
        and items.dataset = completions.dataset
        and items.language = completions.language
        and items.item = completions.item
        and items.turn is not distinct from completions.turn
left join sent_prompts on sent_prompts.prompt_id = completions.prompt_id
where not completions.is_replicate
order by
    completions.experiment,
    completions.dataset,
    completions.item,
    completions.language,
    completions.model,
    completions.method,
    completions.train_languages,
    completions.seed,
    completions.turn
