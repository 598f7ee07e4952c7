-- One row per cell and measure: the mean over items, with its 95% interval. `n` counts scores, `n_unscored`
-- verdicts without one, `n_missing` answers that do not exist; the share cut is of the answers that do, and
-- null for recorded ones, which do not say how they ended. `judge_standard_deviation` is that of the judge's
-- own distributions, and no part of the interval.
-- `direction` is of the mean score; of a judge that looks for a `fault`, `fault_share` is the share of
-- answers that have it, with its interval: lower is better.
-- Where the contrast `stopped_by` decided how many items were asked, the interval is a confidence sequence;
-- on a measure without a scale there is none.
select
    cell_scores.*,
    study_judges.fault,
    coalesce(study_judges.direction, 'higher is better') as direction,
    share_with_fault(study_judges.fault, mean_score) as fault_share,
    share_with_fault(study_judges.fault, ci_high) as fault_share_low,
    share_with_fault(study_judges.fault, ci_low) as fault_share_high
from cell_scores
left join study_judges
    on study_judges.experiment = cell_scores.experiment and study_judges.judge = cell_scores.judge
order by all
