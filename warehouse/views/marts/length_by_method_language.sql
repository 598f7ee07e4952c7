-- One row per dataset, language, model, method and languages tuned on: how long the answers are. `n` counts
-- answers that exist.
select *
from answer_lengths
order by all
