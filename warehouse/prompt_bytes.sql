-- One row per model that was asked: bytes and tokens of a sample of its prompts, 200 of each of 20 steps.
with

asked as (
    select
        step_id,
        coalesce(
            settings ->> '$.model.name',
            settings ->> '$.model.hub',
            settings ->> '$.model.package',
            settings ->> '$.model.path',
            settings ->> '$.model.engine'
        ) as model
    from steps
    where kind = 'generate'
    qualify row_number() over (partition by model order by step_id) <= 20
),

sampled as (
    select model, prompt_id, n_prompt_tokens
    from step_completions
    join asked using (step_id)
    where n_prompt_tokens > 0
    qualify row_number() over (partition by step_id order by prompt_id) <= 200
)

select model, sum(strlen(prompts.text))::double as n_bytes, sum(n_prompt_tokens)::double as n_tokens
from sampled
join prompts using (prompt_id)
group by all
order by all
