-- One row: the first and the last place in `step_completions` of the answers of `cells`. Those of a step lie
-- together, and mostly in the order of cells.
select
    min(completion.rowid) as first_row,
    max(completion.rowid) as last_row
from step_completions as completion
join cells on cells.generate_step_id = completion.step_id
where list_contains($cells, cells.cell_id)
