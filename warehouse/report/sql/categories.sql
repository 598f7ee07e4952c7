-- One row per category of the questions that a study asks.
select distinct examples.category
from cells
join steps on steps.step_id = cells.generate_step_id
join examples on examples.step_id = (steps.settings ->> '$.examples')
where cells.experiment = $experiment and examples.category is not null
order by all
