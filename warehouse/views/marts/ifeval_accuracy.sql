-- One row per dataset, language, model, method, languages tuned on, `ifeval` judge, strictness and unit: the
-- share of prompts with every instruction followed, and the share of all instructions followed. Seeds are
-- averaged within an item. `n` counts prompts or instructions; `n_unscored` counts verdicts without a score
-- in both, since such a verdict names no instructions.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select *
from ifeval_accuracies
order by all
