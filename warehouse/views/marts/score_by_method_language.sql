-- One row per dataset, language, model, method, languages tuned on and measure: seeds averaged within an item, then the mean over
-- items, with its 95% interval, which what a judge that gives a distribution was unsure of widens. `n` counts items with a score,
-- `n_unscored` verdicts without one.
select * exclude (variance_of_seeds)
from method_scores
order by all
