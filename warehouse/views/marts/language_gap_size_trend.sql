-- One row per contrast, dataset, measure and two languages with parallel items, for each pair of methods
-- tuned on comparable languages, if several models were asked: the interaction of method, size and language.
-- `slope` is the change, for ten times the parameters, of the contrast in `language` minus the contrast in
-- `other_language`, null with a reason, computed as in `size_trend`; confirmatory where a contrast is
-- declared `by: [size, language]`.
select
    * exclude (crossing, crossing_low, crossing_high, no_crossing_reason),
    p_value < 0.05 as is_significant_uncorrected,
    p_corrected < 0.05 as is_significant
from size_trends
where other_language is not null
order by all
