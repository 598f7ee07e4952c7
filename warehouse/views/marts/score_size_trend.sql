-- One row per method, languages it was tuned on, dataset, language and measure that was asked of several
-- models: the change of the mean score for ten times the parameters (`slope`), null with a reason, computed
-- as in `size_trend`. Always exploratory.
select
    experiment,
    of as method,
    of_train_languages as train_languages,
    dataset,
    language,
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
where against is null
order by all
