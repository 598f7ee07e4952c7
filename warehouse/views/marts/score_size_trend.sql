-- One row per method, languages it was tuned on, dataset, language and measure that was asked of several
-- models: the change of the mean score for ten times the parameters (`slope`), null with a reason, computed
-- as in `size_trend`. Always exploratory.
--
-- `direction` is of scores; of a judge that looks for a `fault`, `fault_slope` is the slope of the share of
-- answers that have it, with its interval: there falling is better.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select
    size_trends.* exclude (
        contrast, against, against_train_languages, other_language, other_of_train_languages,
        other_against_train_languages, crossing, crossing_low, crossing_high, no_crossing_reason
    ) rename (of as method, of_train_languages as train_languages),
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
where against is null
order by all
