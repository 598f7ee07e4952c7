-- One row per dataset, language, model, method, languages tuned on and measure: seeds averaged within an
-- item, then the mean over items, with its 95% interval. `n` counts items with a score, or each question of
-- those that ask several in turn (errors are clustered by item); `n_unscored` counts verdicts without one.
-- Means are of the same items where `item_set_id` is the same.
select * exclude (variance_of_seeds)
from method_scores
order by all
