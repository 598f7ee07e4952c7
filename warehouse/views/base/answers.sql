-- One row per cell and item: what was answered, and how. A generate step that serves several cells counts in each.
with

-- The least of a model's counts: adapters add to it.
sizes as (
    select
        cells.experiment,
        cells.model,
        min(steps.n_parameters) as num_parameters
    from cells
    join steps on steps.step_id = cells.generate_step_id
    group by all
)

select
    cells.experiment,
    cells.cell_id,
    cells.dataset,
    cells.language,
    cells.model,
    coalesce(cells.num_parameters, sizes.num_parameters) as num_parameters,
    cells.method,
    cells.method_kind,
    cells.train_languages,
    cells.seed,
    completions.item,
    cells.generate_step_id,
    completions.prompt_id,
    completions.text,
    completions.raw_text,
    length(completions.text) as n_characters,
    completions.finish_reason,
    completions.stop_string,
    completions.error,
    completions.max_new_tokens,
    completions.n_prompt_tokens,
    completions.n_new_tokens,
    completions.seconds,
    completions.batch_size,
    completions.seed as row_seed,
    completions.engine,
    completions.model_served
from cells
join completions on completions.step_id = cells.generate_step_id
left join sizes on sizes.experiment = cells.experiment and sizes.model = cells.model
