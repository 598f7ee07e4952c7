-- One row per verdict, as it is shown beside its answer: with its position on the judge's scale, from 0
-- (worst) to 1 (best), and whether that is in the lower half. Null where the judge has no scale.
-- Replicates are left out.
select
    experiment,
    dataset,
    language,
    cell_id,
    item,
    judge,
    role,
    aspect,
    against,
    measure,
    score,
    parts,
    unscored_reason,
    reason,
    (score - scale_low) / (scale_high - scale_low) as position,
    score < (scale_low + scale_high) / 2 as is_wrong
from verdicts
where not is_replicate
