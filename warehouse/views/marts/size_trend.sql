-- One row per contrast, dataset, language, languages tuned on (either side) and measure that was asked of
-- several models: the change of the difference for ten times the parameters (`slope`), and the size at which
-- both methods are equal (`crossing`, in parameters; Fieller's interval), each null with a reason where the
-- data cannot say it. The models are a sample: their scatter around the line is a variance component beside
-- the covariance from the items they share, and the interval is Student's with models − 2 degrees of freedom.
-- A trend needs four models of three sizes.
--
-- What training seeds give to a model's mean is a variance component too; with one seed (`n_seeds`) it is
-- part of the models' scatter. Trends are confirmatory where a contrast is declared `by: [size]`, corrected
-- by Holm with all that is declared, else exploratory, by Benjamini and Yekutieli.
--
-- `direction` is of scores; of a judge that looks for a `fault`, `fault_slope` is the slope of the share of
-- answers that have it, with its interval: there falling is better.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select
    size_trends.* exclude (other_language, other_of_train_languages, other_against_train_languages),
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
where against is not null and other_language is null
order by all
