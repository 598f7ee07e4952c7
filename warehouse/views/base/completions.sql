-- One row per cell and item: what was answered, and how. A generate step that serves several cells counts in
-- each. `is_replicate` is true of a method that was asked again (A/A): noise, and no further answers.
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
    step_completions.item,
    cells.turn,
    cells.is_replicate,
    cells.generate_step_id as step_id,
    step_completions.turns,
    step_completions.prompt_id,
    step_completions.text,
    step_completions.raw_text,
    step_completions.n_characters,
    step_completions.finish_reason,
    step_completions.stop_string,
    step_completions.error,
    step_completions.max_new_tokens,
    step_completions.n_prompt_tokens,
    step_completions.n_new_tokens,
    step_completions.seconds,
    step_completions.batch_size,
    step_completions.seed as row_seed,
    step_completions.engine,
    step_completions.model_served,
    step_completions.code,
    step_completions.device,
    step_completions.dtype,
    step_completions.versions,
    step_completions.commit,
    step_completions.system_fingerprint,
    -- Whether the same step gives the same tokens again: in half precision, they depend on the device and on
    -- the batch.
    step_completions.dtype = 'float32' as is_reproducible
from cells
join step_completions on step_completions.step_id = cells.generate_step_id
left join sizes on sizes.experiment = cells.experiment and sizes.model = cells.model
