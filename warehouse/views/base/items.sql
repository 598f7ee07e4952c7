-- One row per study, dataset, language, item and turn that is asked: the question, the conversation before
-- it, and what may be known of its answer.
select distinct
    cells.experiment,
    cells.dataset,
    cells.language,
    examples.item,
    cells.turn,
    examples.category,
    examples.turns,
    examples.instruction,
    examples.answers,
    examples.reference
from cells
join steps on steps.step_id = cells.generate_step_id
join examples on examples.step_id = (steps.settings ->> '$.examples')
