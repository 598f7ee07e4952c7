-- One row per contrast, dataset, language, model, languages tuned on (either side), measure that is a model's
-- opinion and measure of people who answer the same question: `of` minus `against`, paired by item.
-- `judged` is the judge's own estimate over its `n` items. On the `n_labelled` of them that people labelled
-- on both sides (not since judges disagree there), `mean_of_people` and `mean_of_judge` are both means, and
-- `bias` is people's minus the judge's, with its 95% interval; `is_reversed` says that they differ in sign
-- and by more than noise: the interval of `bias`, where there is one, holds no zero.
--
-- `estimate` is the difference as people would give it: the judge's, corrected by labels of random items
-- (prediction-powered inference, Angelopoulos et al. 2023), with its 95% interval, which belongs to no test
-- and is corrected for no other. `weight` says how far the judge's differences count. It is null, and
-- `uncorrected_reason` says why, unless all answers of both sides to at least 50 random items are labelled on
-- a scale that is known and the judge's, and asking did not stop by what was found: the interval is made for
-- a fixed number of items. It is of these models as they were trained.
select
    contrasts_beside_people.experiment,
    contrasts_beside_people.contrast,
    asked_contrasts.of,
    asked_contrasts.against,
    asked_contrasts.method,
    contrasts_beside_people.dataset,
    contrasts_beside_people.language,
    contrasts_beside_people.model,
    contrasts_beside_people.of_train_languages,
    contrasts_beside_people.against_train_languages,
    contrast_estimates.judge,
    contrasts_beside_people.measure,
    contrasts_beside_people.people,
    contrasts_beside_people.people_measure,
    contrast_estimates.estimate as judged,
    contrast_tests.ci_low as judged_ci_low,
    contrast_tests.ci_high as judged_ci_high,
    contrasts_beside_people.n,
    contrasts_beside_people.estimate,
    contrasts_beside_people.ci_low,
    contrasts_beside_people.ci_high,
    contrasts_beside_people.weight,
    contrasts_beside_people.uncorrected_reason,
    contrasts_beside_people.n_labelled,
    contrasts_beside_people.mean_of_people,
    contrasts_beside_people.mean_of_judge,
    contrasts_beside_people.bias,
    contrasts_beside_people.bias_ci_low,
    contrasts_beside_people.bias_ci_high,
    contrasts_beside_people.mean_of_people * contrasts_beside_people.mean_of_judge < 0
    and contrasts_beside_people.n_labelled > 1
    and coalesce(contrasts_beside_people.bias_ci_low * contrasts_beside_people.bias_ci_high > 0, true)
        as is_reversed
from contrasts_beside_people
join asked_contrasts using (experiment, contrast)
join contrast_estimates
    using (
        experiment, contrast, dataset, language, model, of_train_languages, against_train_languages, measure
    )
left join contrast_tests
    using (
        experiment, contrast, dataset, language, model, of_train_languages, against_train_languages, measure
    )
where len(asked_contrasts."by") = 0 and not asked_contrasts.is_noise
order by all
