-- One row per answer named by `cells` and `items`: what a list shows of it, in columns of `shown_answers`.
select
    cells.dataset,
    step_completions.item,
    cells.turn,
    cells.language,
    cells.model,
    cells.method,
    cells.train_languages,
    cells.seed,
    cells.cell_id,
    null as category,
    null as instruction,
    null as accepted_answers,
    null as reference,
    null as prompt,
    left(step_completions.text, $length) as text,
    null as raw_text,
    step_completions.finish_reason,
    null as stop_string,
    null as error,
    null as n_new_tokens
from cells
join step_completions on step_completions.step_id = cells.generate_step_id
where list_contains($cells, cells.cell_id) and list_contains($items, step_completions.item)
