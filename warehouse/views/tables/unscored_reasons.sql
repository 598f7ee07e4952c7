-- One row per dataset, language, model, method, judge, measure and reason for being unscored: how many
-- verdicts. No reason is a score.
select
    experiment,
    dataset,
    model,
    judge,
    measure,
    language,
    method,
    case when score is null then coalesce(unscored_reason, 'no reason given') end as reason,
    count(*) as n
from verdicts
group by all
