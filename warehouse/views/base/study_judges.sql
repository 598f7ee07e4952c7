-- One row per study and judge: what its verdicts mean, as its settings say. `fault` names what a judge looks
-- for that scores 0 where an answer has it and 1 where it has not; null for other judges. `direction` is of
-- scores.
select
    experiment,
    judge,
    judge_kind,
    role,
    label,
    case when role in ('critical_error', 'detector') then label end as fault,
    case when role = 'measure' then 'neither is better' else 'higher is better' end as direction,
    is_check,
    checked_against,
    orders_only,
    opinion,
    is_people
from judges
