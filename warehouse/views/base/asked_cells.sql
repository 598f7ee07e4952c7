-- One row per dataset, language, model, method, languages tuned on, seed and turn that a study asks for, done
-- or not.
select
    experiment,
    cell_id,
    dataset,
    language,
    model,
    method,
    train_languages,
    seed,
    turn
from cells
