-- One row per dataset, language, model, method, languages tuned on, seed and turn that a study asks for, done
-- or not, with the worked examples in its prompts (null where no prompt is made).
-- Replicates are left out.
select
    cells.experiment,
    cells.cell_id,
    cells.dataset,
    cells.language,
    cells.model,
    cells.method,
    cells.train_languages,
    cells.seed,
    cells.turn,
    case
        when (steps.settings ->> '$.prompt') is not null
            then coalesce((steps.settings ->> '$.prompt.num_fewshot')::bigint, 0)
    end as num_fewshot
from cells
left join steps on steps.step_id = cells.generate_step_id
where not cells.is_replicate
