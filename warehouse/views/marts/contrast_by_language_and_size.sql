-- One row per contrast, dataset, language, model, languages tuned on (either side) and measure: the mean over items of `of` minus
-- `against`, seeds averaged within an item, with a 95% interval from the paired differences; what the judge itself was unsure of widens
-- it. Means and lengths are of the `n` items that both sides have a score for; `n_lost` counts the others, `n_unscored` verdicts without a
-- score on either side. `p_value` is of a sign-flip test over items, on the scores as they are: a judge's own uncertainty, which is in the
-- interval and so in `is_told_apart`, is not in it. `p_holm` is corrected (Holm) for all `n_tests` rows of the study on
-- this measure: every contrast, dataset, language and model at once, since that is what a reader looks through for differences; other
-- measures do not count, so that a further detector does not weaken the main result.
select
    contrast_estimates.experiment,
    contrast_estimates.contrast,
    contrast_estimates.of,
    contrast_estimates.against,
    contrast_estimates.dataset,
    contrast_estimates.language,
    contrast_estimates.model,
    contrast_estimates.num_parameters,
    contrast_estimates.of_train_languages,
    contrast_estimates.against_train_languages,
    contrast_estimates.judge,
    contrast_estimates.measure,
    contrast_estimates.estimate,
    contrast_estimates.standard_error,
    contrast_estimates.estimate - t_quantile(contrast_estimates.n - 1) * contrast_estimates.standard_error as ci_low,
    contrast_estimates.estimate + t_quantile(contrast_estimates.n - 1) * contrast_estimates.standard_error as ci_high,
    contrast_tests.p_value,
    contrast_tests.p_holm,
    contrast_tests.n_tests,
    is_told_apart(ci_low, ci_high, contrast_tests.p_value) as is_told_apart,
    contrast_tests.standardised_effect,
    contrast_tests.bound_low,
    contrast_tests.bound_high,
    contrast_estimates.n,
    contrast_estimates.n_lost,
    contrast_estimates.n_unscored,
    contrast_estimates.mean_of,
    contrast_estimates.mean_against,
    contrast_estimates.mean_characters_of,
    contrast_estimates.mean_characters_against,
    contrast_tests.length_adjusted_estimate,
    contrast_tests.length_adjusted_standard_error,
    contrast_tests.length_adjusted_ci_low,
    contrast_tests.length_adjusted_ci_high,
    contrast_tests.unadjusted_reason
from contrast_estimates
left join contrast_tests
    using (experiment, contrast, dataset, language, model, of_train_languages, against_train_languages, measure)
order by all
