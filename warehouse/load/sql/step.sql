-- Finished steps: `$settings` holds the text of each one's `step.json`, `$outcomes` of its `outcome.json`.
insert into steps by name
select
    outcome ->> '$.step_id' as step_id,
    settings ->> '$.kind' as kind,
    settings::json as settings,
    (outcome ->> '$.seconds')::double as seconds,
    coalesce((outcome ->> '$.start_seconds')::double, 0.0) as start_seconds,
    (outcome ->> '$.load_seconds')::double as load_seconds,
    (outcome ->> '$.n_rows')::bigint as n_rows,
    (outcome ->> '$.n_reused')::bigint as n_reused,
    (outcome ->> '$.peak_memory_bytes')::bigint as peak_memory_bytes,
    outcome -> '$.versions' as versions,
    outcome -> '$.facts' as facts,
    -- Engines without weights of their own count none.
    nullif(try_cast(outcome ->> '$.facts.n_parameters' as bigint), 0) as n_parameters,
    coalesce(outcome ->> '$.code', '') as code,
    outcome_sha256
from (
    select
        unnest($settings) as settings,
        unnest($outcomes)::json as outcome,
        unnest($outcome_sha256s) as outcome_sha256
);
