-- One row per contrast, dataset, measure and two languages with parallel items, for each pair of methods
-- tuned on comparable languages, if several models were asked: the interaction of method, size and language.
-- `slope` is the change, for ten times the parameters, of the contrast in `language` minus the contrast in
-- `other_language`, null with a reason, computed as in `size_trend`; confirmatory where a contrast is
-- declared `by: [size, language]`.
select
    experiment,
    contrast,
    of,
    against,
    dataset,
    language,
    other_language,
    of_train_languages,
    against_train_languages,
    other_of_train_languages,
    other_against_train_languages,
    judge,
    measure,
    slope,
    standard_error,
    df,
    ci_low,
    ci_high,
    family,
    p_value,
    p_value < 0.05 as is_significant_uncorrected,
    correction,
    n_tests,
    p_corrected,
    ci_low_corrected,
    ci_high_corrected,
    p_corrected < 0.05 as is_significant,
    no_slope_reason,
    smallest,
    largest,
    at_smallest,
    at_largest,
    n,
    n_items,
    n_sizes,
    n_models,
    n_seeds,
    n_seeds_missing
from size_trends
where other_language is not null
order by all
