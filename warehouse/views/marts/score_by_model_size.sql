-- One row per dataset, model, method and measure: the mean over languages and items, seeds averaged first,
-- with a 95% interval from cluster-robust errors. Translations of one item are one cluster (Miller, arXiv
-- 2411.00640): the squared sums of residuals of each cluster, times G / (G - 1) for G clusters.
-- `train_languages` is `each` where it differs from language to language. Judges need not be equally strict
-- in every language: a raw mean across languages carries a `warning`, unless the score is a check of the
-- answer by rule, or in every language there are people's verdicts on answers that the judge scored too.
-- `direction` is of the mean score; of a judge that looks for a `fault`, `fault_share` is the share of
-- answers that have it, with its interval: lower is better.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
with

calibrated as (
    select
        experiment,
        dataset,
        measure,
        len(
            list_distinct(flatten(list(calibrated_languages) filter (where calibrated_languages is not null)))
        ) as n_languages
    from model_scores
    group by all
)

select
    model_scores.* exclude (judge_kind, calibrated_languages),
    case
        when model_scores.n_languages > 1
            and model_scores.judge_kind <> 'human'
            and not study_judges.is_check
            and coalesce(calibrated.n_languages, 0) < model_scores.n_languages
            then 'a raw mean across languages, in which the judge need not be equally strict'
    end as warning,
    study_judges.fault,
    coalesce(study_judges.direction, 'higher is better') as direction,
    share_with_fault(study_judges.fault, mean_score) as fault_share,
    share_with_fault(study_judges.fault, ci_high) as fault_share_low,
    share_with_fault(study_judges.fault, ci_low) as fault_share_high
from model_scores
left join study_judges
    on study_judges.experiment = model_scores.experiment
    and study_judges.judge = model_scores.judge
left join calibrated
    on calibrated.experiment = model_scores.experiment
    and calibrated.dataset = model_scores.dataset
    and calibrated.measure = model_scores.measure
order by all
