-- One row per dataset, language, model, method, languages tuned on and seed that a study asks for, done or
-- not.
select
    experiment,
    cell_id,
    dataset,
    language,
    model,
    method,
    train_languages,
    seed
from cells
