-- One row per answer named by `cells` and `items`: what a list shows of it.
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
    left(step_completions.text, $length) as text,
    step_completions.error
from cells
join step_completions on step_completions.step_id = cells.generate_step_id
where list_contains($cells, cells.cell_id) and list_contains($items, step_completions.item)
