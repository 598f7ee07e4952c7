-- One row per method, languages it was tuned on, dataset, language and measure that was asked of several
-- models: the change of the mean score for ten times the parameters (`slope`), null with a reason, computed
-- as in `size_trend`. Always exploratory.
select
    * exclude (
        contrast, against, against_train_languages, other_language, other_of_train_languages,
        other_against_train_languages, crossing, crossing_low, crossing_high, no_crossing_reason
    ) rename (of as method, of_train_languages as train_languages),
    p_value < 0.05 as is_significant_uncorrected,
    p_corrected < 0.05 as is_significant
from size_trends
where against is null
order by all
