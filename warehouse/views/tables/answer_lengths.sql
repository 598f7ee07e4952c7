-- One row per dataset, language, model, method and languages tuned on: what `length_by_method_language` shows
-- and explains.
select
    experiment,
    dataset,
    language,
    model,
    num_parameters,
    method,
    train_languages,
    avg(n_characters) as mean_characters,
    median(n_characters) as median_characters,
    avg(n_new_tokens) as mean_new_tokens,
    count(text) as n,
    count(*) - count(text) as n_missing
from completions
group by all
