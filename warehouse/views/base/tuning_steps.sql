-- One row per study, model, method and training step behind its answers, those that it starts from and those
-- that values were tried with included: how long it took, and what it recorded (`facts`).
select distinct
    cells.experiment,
    cells.model,
    cells.method,
    steps.step_id,
    steps.kind,
    steps.seconds,
    steps.facts
from cells
join cell_training on cell_training.cell_id = cells.cell_id
join steps on steps.step_id = cell_training.step_id
where not cells.is_replicate
