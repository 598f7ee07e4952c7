-- One row per dataset, language, model, method, what it was tuned on, and different text that it answered an
-- item with: what annotators may be shown. Answers of equal text to one item have one `answer_id`, whoever
-- gave them.
select distinct
    completions.experiment,
    completions.dataset,
    completions.language,
    completions.model,
    completions.method,
    completions.train_languages,
    completions.item,
    answer_id(
        completions.experiment, completions.dataset, completions.language, completions.item, completions.text
    ) as answer_id,
    items.instruction,
    completions.text,
    items.reference
from completions
left join items using (experiment, dataset, language, item)
where completions.text is not null
