-- One row per contrast, dataset, measure and two languages with parallel items, for each pair of methods
-- tuned on comparable languages, if several models were asked: the interaction of method, size and language.
-- `slope` is the change, for ten times the parameters, of the contrast in `language` minus the contrast in
-- `other_language`, null with a reason, computed as in `size_trend`; confirmatory where a contrast is
-- declared `by: [size, language]`.
--
-- `direction` is of scores; of a judge that looks for a `fault`, `fault_slope` is the slope of the share of
-- answers that have it, with its interval: there falling is better.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select
    size_trends.* exclude (crossing, crossing_low, crossing_high, no_crossing_reason),
    study_judges.fault,
    coalesce(study_judges.direction, 'higher is better') as direction,
    change_of_fault(study_judges.fault, slope) as fault_slope,
    change_of_fault(study_judges.fault, ci_high) as fault_slope_low,
    change_of_fault(study_judges.fault, ci_low) as fault_slope_high,
    p_value < 0.05 as is_significant_uncorrected,
    p_corrected < 0.05 as is_significant
from size_trends
left join study_judges
    on study_judges.experiment = size_trends.experiment and study_judges.judge = size_trends.judge
where other_language is not null
order by all
