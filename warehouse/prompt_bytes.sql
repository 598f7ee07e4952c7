-- One row per model that was asked: bytes and tokens of a sample of its prompts.
with

sampled as (
    select step_id, prompt_id, n_prompt_tokens
    from step_completions
    where n_prompt_tokens > 0
    limit 20000
)

select
    coalesce(
        settings ->> '$.model.name',
        settings ->> '$.model.hub',
        settings ->> '$.model.package',
        settings ->> '$.model.path',
        settings ->> '$.model.engine'
    ) as model,
    sum(strlen(prompts.text))::double as n_bytes,
    sum(n_prompt_tokens)::double as n_tokens
from sampled
join steps using (step_id)
join prompts using (prompt_id)
group by all
order by all
