-- One row per study, model, method, languages tuned on, seed and training that its settings were chosen from:
-- the values it was tried with, its metric at its best evaluation, the optimiser step of that, the validation
-- rows it was measured on (`n`), and whether it was chosen.
select distinct
    cells.experiment,
    cells.model,
    cells.method,
    cells.train_languages,
    cells.seed,
    trials.varied,
    trials.metric_for_best_model,
    trials.best_metric,
    trials.best_global_step,
    trials.n_validation_rows as n,
    trials.is_chosen,
    trials.trial_id,
    trials.step_id
from cells
join cell_training on cell_training.cell_id = cells.cell_id
join trials on trials.step_id = cell_training.step_id
where not cells.is_replicate
order by all
