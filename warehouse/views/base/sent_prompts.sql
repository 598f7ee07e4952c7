-- One row per prompt that was ever sent.
select
    prompt_id,
    text as prompt
from prompts
