-- One row per dataset, language, model, method, languages tuned on and measure: seeds averaged within an
-- item, then the mean over items, with its 95% interval. `n` counts items with a score, or each question of
-- those that ask several in turn (errors are clustered by item); `n_unscored` counts verdicts without one.
-- Means are of the same items where `item_set_id` is the same.
-- `direction` is of the mean score; of a judge that looks for a `fault`, `fault_share` is the share of
-- answers that have it, with its interval: lower is better.
-- Where the contrast `stopped_by` decided how many items were asked, the interval is a confidence sequence;
-- on a measure without a scale there is none.
select
    method_scores.* exclude (variance_of_seeds),
    study_judges.fault,
    coalesce(study_judges.direction, 'higher is better') as direction,
    share_with_fault(study_judges.fault, mean_score) as fault_share,
    share_with_fault(study_judges.fault, ci_high) as fault_share_low,
    share_with_fault(study_judges.fault, ci_low) as fault_share_high
from method_scores
left join study_judges
    on study_judges.experiment = method_scores.experiment and study_judges.judge = method_scores.judge
order by all
