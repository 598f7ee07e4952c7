-- One row per cell and measure: which judge says it, by which step, on which scale, and which question it
-- answers.
select distinct
    verdicts.experiment,
    verdicts.dataset,
    verdicts.language,
    verdicts.model,
    verdicts.cell_id,
    verdicts.is_replicate,
    verdicts.judge,
    verdicts.judge_kind,
    verdicts.role,
    verdicts.measure,
    verdicts.aspect,
    verdicts.against,
    verdicts.step_id,
    verdicts.scale_low,
    verdicts.scale_high,
    -- Of judges with one aspect the kind stands for the question.
    case
        when verdicts.aspect not in (coalesce(judges.judge_kind, 'human'), verdicts.judge)
            then verdicts.aspect
        when verdicts.against is not null then 'which is better'
        when verdicts.role = 'quality' and not coalesce(judges.orders_only, false) then 'is it good'
        else verdicts.aspect
    end as question
from verdicts
left join judges on judges.experiment = verdicts.experiment and judges.judge = verdicts.judge
