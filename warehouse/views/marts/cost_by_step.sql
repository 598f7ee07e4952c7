-- One row per study and step it asks for, done or not. Seconds, tokens and dollars are what the step's rows
-- took when they were made, reused rows (`n_reused`) included; `start_seconds` and `load_seconds` are
-- among them; `attempt_seconds` counts every attempt, failed ones too; `made_by` names the study that ran it.
select
    experiment,
    position,
    step_id,
    kind,
    is_done,
    datasets,
    languages,
    models,
    methods,
    n_rows,
    n_reused,
    seconds,
    start_seconds,
    load_seconds,
    n_prompt_tokens,
    n_new_tokens,
    usd,
    peak_memory_bytes,
    n_attempts,
    n_failed,
    attempt_seconds,
    made_by,
    last_error
from study_steps
order by all
