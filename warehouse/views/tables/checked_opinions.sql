-- One row per dataset, language, model, item, measure that is a model's opinion, measure that was checked by
-- rule, opinion and result of the check: how many answers.
with

opinions as (
    select verdicts.*
    from verdicts
    join study_judges on study_judges.experiment = verdicts.experiment and study_judges.judge = verdicts.judge
    where
        study_judges.opinion is not null
        and not study_judges.is_people
        and study_judges.judge_kind <> 'ensemble'
        and verdicts.scale_low is not null
        and verdicts.against is null
),

checks as (
    select verdicts.*
    from verdicts
    join study_judges on study_judges.experiment = verdicts.experiment and study_judges.judge = verdicts.judge
    where study_judges.checked_against = 'answers'
),

answers as (
    select
        opinions.experiment,
        opinions.dataset,
        opinions.language,
        opinions.model,
        opinions.judge,
        opinions.measure,
        checks.judge as checked_judge,
        checks.measure as checked_measure,
        opinions.item_cluster,
        opinions.score is not null and checks.score is not null as is_scored,
        case when is_scored then opinions.score end as opinion,
        case when is_scored then checks.score = 1 end as is_right
    from opinions
    join checks using (experiment, cell_id, item)
)

select
    *,
    count(*) as n
from answers
group by all
