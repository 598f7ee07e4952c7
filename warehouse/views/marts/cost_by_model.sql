-- One row per study, model and kind of step that trains it or asks it: seconds, of them those for starting
-- processes (Python and its libraries) and for loading the model, which a worker does once for all its steps
-- of one model, and the rest, which is work. Of a step that failed nothing is known here.
with

by_model as (
    select
        experiment,
        unnest(models) as model,
        kind,
        seconds,
        start_seconds,
        load_seconds
    from study_steps
    where is_done and kind in ('sft', 'reference_logps', 'dpo', 'kto', 'orpo', 'simpo', 'generate')
)

select
    experiment,
    model,
    kind,
    count(*) as n_steps,
    sum(seconds) as seconds,
    sum(start_seconds) as start_seconds,
    sum(load_seconds) as load_seconds,
    sum(seconds - start_seconds - load_seconds) as work_seconds
from by_model
group by all
order by all
