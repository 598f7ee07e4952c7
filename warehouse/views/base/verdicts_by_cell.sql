-- One row per cell and measure: which judge says it, by which step, on which scale, and which question it answers.
select distinct
    experiment,
    dataset,
    language,
    model,
    cell_id,
    judge,
    judge_kind,
    measure,
    aspect,
    against,
    step_id,
    scale_low,
    scale_high,
    -- Of judges with one aspect the kind stands for the question.
    case
        when aspect not in (judge_kind, judge) then aspect
        when against is not null then 'which is better'
        when judge_kind in ('contains', 'exact', 'numeric', 'human', 'recorded', 'ensemble') then 'is it good'
        else aspect
    end as question
from verdicts
