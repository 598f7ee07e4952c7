-- What is computed of models on one data set is computed from these: their verdicts and completions under
-- the names of the base views, which they stand before for as long as they are there, but without the long
-- texts, which are not even read. Those of models that a contrast sets beside it are there until they are
-- paired.
create or replace temp table slice_models as
select unnest($models) as model
union
select against as model
from contrasts
where experiment = $experiment and method is not null and list_contains($models, of);

create or replace temp table completions as
select * exclude (prompt_id, raw_text, stop_string, error) replace (
    case when n_characters is not null then '' end as text
)
from main.completions
where experiment = $experiment and dataset = $dataset and model in (from slice_models);

create or replace temp table verdicts as
select * exclude (reason, raw, distribution, n_prompt_tokens, n_new_tokens, seconds, usd, model_served)
from main.verdicts
where experiment = $experiment and dataset = $dataset and model in (from slice_models);
