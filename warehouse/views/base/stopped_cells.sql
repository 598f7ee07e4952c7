-- One row per cell whose asking may stop: the contrast that decides, its rule, and the seed of the order in
-- which the items are asked.
select
    cells.experiment,
    cells.cell_id,
    cells.dataset,
    cells.language,
    cells.model,
    cells.method,
    contrasts.contrast as stopped_by,
    contrasts.stopping_rule,
    contrasts.stopping_seed
from contrasts
join cells on cells.experiment = contrasts.experiment and cells.method in (contrasts.of, contrasts.against)
join steps on steps.step_id = cells.generate_step_id
where contrasts.contrast = contrasts.stopped_by and json_array_length(steps.settings -> '$.slices') > 0
