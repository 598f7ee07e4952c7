-- One row per method that was asked and judged again (A/A), dataset, language, model, languages tuned on and
-- measure: the mean over items of the second time minus the first, of which the largest is the noise floor of
-- the measure. In float32 and greedy, and with judges that give one answer to one text, it is zero.
--
-- Test and interval are those of a contrast, each test by itself: `is_significant` is a false finding, of
-- which 5 in 100 tests are expected where noise is all there is. `n` items have a score both times,
-- `n_unscored` counts verdicts without one.
select
    contrast_estimates.experiment,
    contrast_estimates.against as method,
    contrast_estimates.of as replicate,
    contrast_estimates.dataset,
    contrast_estimates.language,
    contrast_estimates.model,
    contrast_estimates.against_train_languages as train_languages,
    contrast_estimates.judge,
    contrast_estimates.measure,
    contrast_estimates.estimate,
    contrast_tests.standard_error,
    contrast_tests.ci_low,
    contrast_tests.ci_high,
    contrast_tests.p_value,
    contrast_tests.p_value < 0.05 as is_significant,
    contrast_estimates.n,
    contrast_estimates.n_unscored
from contrast_estimates
join asked_contrasts using (experiment, contrast)
left join contrast_tests
    using (
        experiment, contrast, dataset, language, model, of_train_languages, against_train_languages, measure
    )
where asked_contrasts.is_noise
order by all
