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
    completions.turn,
    answer_id(
        completions.experiment,
        completions.dataset,
        completions.language,
        item_turn(completions.item, completions.turn),
        completions.text
    ) as answer_id,
    -- Behind the conversation that it ends.
    array_to_string(
        list_transform(
            case when len(completions.turns) > 0 then completions.turns else items.turns end,
            lambda said: '[' || said.role || ']' || chr(10) || said.content || chr(10) || chr(10)
        ),
        ''
    )
    || case when len(items.turns) > 0 then '[user]' || chr(10) else '' end
    || items.instruction as instruction,
    completions.text,
    items.reference
from completions
left join items
    on items.experiment = completions.experiment
        and items.dataset = completions.dataset
        and items.language = completions.language
        and items.item = completions.item
        and items.turn is not distinct from completions.turn
where completions.text is not null and not completions.is_replicate
