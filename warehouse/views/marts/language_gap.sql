-- One row per contrast, dataset, model, measure, two languages and languages tuned on (either side): how far
-- the contrast in `language` is from the contrast in `other_language`, the earlier by its code. A difference
-- of differences: a judge that is stricter in one language cancels out. Where items are the same in both
-- languages an item is a cluster, and test and interval are those of paired differences (`is_paired`), else
-- they are Welch's. Methods tuned on the language they are asked in are compared with each other, and methods
-- tuned on the same languages. Gaps are confirmatory where a contrast is declared `by: [language]`, corrected
-- by Holm with all that is declared, with corrected intervals at 5% / `n_tests` that hold at once; else
-- exploratory: `p_corrected`, the corrected interval and `is_significant` are after the correction of
-- Benjamini and Yekutieli over all `n_tests` of them.
--
-- Seeds of trained methods are a source of variance as in contrasts, `n_seeds` and `n_seeds_missing` count
-- them, and with one seed test and interval are for this one trained model (`scope`).
--
-- `direction` is of scores; of a judge that looks for a `fault`, `fault_difference` is the same of the shares
-- of answers that have it, with its interval: there below zero is better for the first side.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select
    language_gaps.* exclude (
        df, variance_of_seeds, n_seeds, n_seeds_missing, p_value, family, correction, p_corrected, n_tests,
        ci_low_corrected,
        ci_high_corrected, n, is_paired
    ),
    family,
    study_judges.fault,
    coalesce(study_judges.direction, 'higher is better') as direction,
    change_of_fault(study_judges.fault, estimate) as fault_difference,
    change_of_fault(study_judges.fault, ci_high) as fault_difference_low,
    change_of_fault(study_judges.fault, ci_low) as fault_difference_high,
    p_value,
    p_value < 0.05 as is_significant_uncorrected,
    correction,
    n_tests,
    p_corrected,
    ci_low_corrected,
    ci_high_corrected,
    p_corrected < 0.05 as is_significant,
    n,
    is_paired,
    n_seeds,
    n_seeds_missing,
    scope_of_seeds(n_seeds) as scope
from language_gaps
left join study_judges
    on study_judges.experiment = language_gaps.experiment and study_judges.judge = language_gaps.judge
where family is not null
order by all
