-- One row per stale slice: a study, a data set and a model, with the rows of its steps, a step of several
-- cells or judges counted for each.
select
    stale_slices.experiment,
    stale_slices.dataset,
    stale_slices.model,
    (coalesce(sum(answered.n_rows), 0) + coalesce(sum(judged.n_rows), 0))::bigint as n_rows
from stale_slices
left join cells
    on
        cells.experiment = stale_slices.experiment
        and cells.dataset = stale_slices.dataset
        and cells.model = stale_slices.model
left join cell_judges on cell_judges.cell_id = cells.cell_id
left join steps as answered on answered.step_id = cells.generate_step_id
left join steps as judged on judged.step_id = cell_judges.judge_step_id
group by all
order by all
