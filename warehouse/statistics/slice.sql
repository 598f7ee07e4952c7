-- What is computed of one model on one data set is computed from these: its verdicts and completions under
-- the names of the base views, which they stand before for as long as they are there, but without the long
-- texts, which are not even read.
create or replace temp table completions as
select * exclude (prompt_id, raw_text, stop_string, error) replace (
    case when n_characters is not null then '' end as text
)
from main.completions
where experiment = $experiment and dataset = $dataset and model = $model;

create or replace temp table verdicts as
select * exclude (reason, raw, distribution, n_prompt_tokens, n_new_tokens, seconds, usd, model_served)
from main.verdicts
where experiment = $experiment and dataset = $dataset and model = $model;
