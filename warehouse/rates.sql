-- One row per finished step that made rows or trained, of a kind and model at most 500: what it took, and
-- what that depends on.
with

asked as (
    select
        steps.*,
        coalesce(
            settings -> '$.model',
            settings -> '$.weights',
            list_filter(json_extract(settings, '$.judges.*.model'), lambda model: model is not null)[1]
        ) as model
    from steps
    where kind <> 'select'
    qualify row_number() over (partition by kind, model order by step_id) <= 500
)

select
    kind,
    coalesce(
        model ->> '$.name', model ->> '$.hub', model ->> '$.package', model ->> '$.path', model ->> '$.engine'
    ) as model,
    coalesce(model ->> '$.engine', '') as engine,
    coalesce(model ->> '$.dtype', 'float32') as dtype,
    coalesce(facts ->> '$.device', 'cpu') as device,
    greatest(0, seconds - start_seconds - load_seconds) as seconds,
    start_seconds + load_seconds as overhead_seconds,
    n_rows,
    n_rows - n_reused as n_made,
    n_parameters,
    peak_memory_bytes,
    coalesce(n_prompt_tokens, 0) as prompt_tokens,
    coalesce(n_new_tokens, 0) as new_tokens,
    coalesce((facts ->> '$.n_shared_tokens')::double, 0) as shared_tokens_of_each,
    coalesce((settings ->> '$.decoding.max_new_tokens')::bigint, 0) as most_new_tokens,
    coalesce(settings ->> '$.prompt.form', '') as form,
    coalesce((facts ->> '$.n_tokens')::double, 0) as data_tokens,
    coalesce((facts ->> '$.n_rows')::double, 0) as data_rows,
    coalesce((facts ->> '$.global_step')::bigint, 0) as train_steps,
    coalesce((settings ->> '$.training.per_device_train_batch_size')::bigint, 1)
    * coalesce((settings ->> '$.training.gradient_accumulation_steps')::bigint, 1) as rows_per_train_step,
    (settings ->> '$.adapter') is null as trains_all_weights
from asked
left join step_usage using (step_id)
order by step_id
