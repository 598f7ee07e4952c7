-- One row per study and judge: what its verdicts mean, as its settings say.
select
    experiment,
    judge,
    judge_kind,
    role,
    label,
    is_check,
    checked_against,
    orders_only,
    opinion,
    is_people
from judges
