-- One row per contrast, dataset, language, model, languages tuned on (either side) and measure: the mean over
-- items of `of` minus `against`, seeds averaged within an item. Means and lengths are of the `n` items that
-- both sides have a score for; `n_lost` counts the others, `n_unscored` verdicts without a score on either
-- side. `p_value` is of the test that docs/statistics.md names for the design, and the 95% interval is that
-- test's inversion: zero is outside it exactly where p < 0.05 (`is_significant_uncorrected`).
--
-- `family` is `confirmatory` for the measures that a contrast of the study names (all of them are corrected
-- together by Holm), else `exploratory` (Benjamini–Hochberg, or Benjamini–Yekutieli where contrasts share a
-- method). `p_corrected`, the corrected interval and `is_significant` are after that correction, over the
-- `n_tests` tests of the family. The corrected intervals of confirmatory tests, each at 5% / `n_tests`, hold
-- at once with at least 95%; where Holm's later steps reject (`is_significant`), zero may be inside.
-- `could_be_significant` is false where so few items could not have given a significant result whatever their
-- scores.
--
-- A contrast between two models has their names as `of` and `against`, the `method` on both sides, the first
-- as `model` and no size; else `method` is null.
--
-- `n_seeds` is of trained methods (the fewest, where both sides are trained), `n_seeds_missing` counts seeds
-- that were asked for and have no scores. With one seed, test and interval are for this one trained model and
-- say nothing of another training run (`scope`); with more, they are over seeds too.
--
-- Where the contrast `stopped_by` decided how many items of a side were asked, intervals are confidence
-- sequences, which hold whatever was found before asking stopped, and `p_value` is 1 / `e_value`. Items that
-- were never asked on one side are not lost.
--
-- `direction` is of scores; of a judge that looks for a `fault`, `fault_difference` is the same of the shares
-- of answers that have it, with its interval: there below zero is better for the first side.
--
-- `noise_floor` is the largest difference, up or down, of a method from itself on the data set and measure
-- (`noise_by_method_language`); null where no method was asked again. `is_below_noise` is true of a
-- difference that is not larger, where the floor is not zero.
with

floors as (
    select
        contrast_estimates.experiment,
        contrast_estimates.dataset,
        contrast_estimates.measure,
        max(abs(contrast_estimates.estimate)) as noise_floor
    from contrast_estimates
    join asked_contrasts using (experiment, contrast)
    where asked_contrasts.is_noise
    group by all
)

select
    contrast_estimates.experiment,
    contrast_estimates.contrast,
    contrast_estimates.of,
    contrast_estimates.against,
    asked_contrasts.method,
    contrast_estimates.dataset,
    contrast_estimates.language,
    contrast_estimates.model,
    contrast_estimates.num_parameters,
    contrast_estimates.of_train_languages,
    contrast_estimates.against_train_languages,
    contrast_estimates.judge,
    contrast_estimates.measure,
    contrast_tests.family,
    contrast_estimates.estimate,
    contrast_tests.standard_error,
    contrast_tests.ci_low,
    contrast_tests.ci_high,
    study_judges.fault,
    coalesce(study_judges.direction, 'higher is better') as direction,
    change_of_fault(study_judges.fault, contrast_estimates.estimate) as fault_difference,
    change_of_fault(study_judges.fault, contrast_tests.ci_high) as fault_difference_low,
    change_of_fault(study_judges.fault, contrast_tests.ci_low) as fault_difference_high,
    contrast_tests.p_value,
    contrast_tests.e_value,
    asked_contrasts.stopped_by,
    asked_contrasts.stopping_rule,
    contrast_tests.p_value < 0.05 as is_significant_uncorrected,
    contrast_tests.correction,
    contrast_tests.n_tests,
    contrast_tests.p_corrected,
    contrast_tests.ci_low_corrected,
    contrast_tests.ci_high_corrected,
    contrast_tests.p_corrected < 0.05 as is_significant,
    contrast_tests.smallest_p_corrected < 0.05 as could_be_significant,
    floors.noise_floor,
    coalesce(floors.noise_floor > 1e-9 and abs(contrast_estimates.estimate) <= floors.noise_floor, false)
        as is_below_noise,
    contrast_tests.standardised_effect,
    contrast_tests.bound_low,
    contrast_tests.bound_high,
    contrast_estimates.n,
    contrast_estimates.n_lost,
    contrast_estimates.n_unscored,
    contrast_tests.n_seeds,
    contrast_tests.n_seeds_missing,
    scope_of_seeds(contrast_tests.n_seeds) as scope,
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
join asked_contrasts using (experiment, contrast)
left join contrast_tests
    using (
        experiment, contrast, dataset, language, model, of_train_languages, against_train_languages, measure
    )
left join study_judges
    on
        study_judges.experiment = contrast_estimates.experiment
        and study_judges.judge = contrast_estimates.judge
left join floors
    on
        floors.experiment = contrast_estimates.experiment
        and floors.dataset = contrast_estimates.dataset
        and floors.measure = contrast_estimates.measure
where len(asked_contrasts."by") = 0 and not asked_contrasts.is_noise
order by all
