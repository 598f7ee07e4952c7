-- One row per cell, probe, item and measure: the verdict on an answer as it is beside the verdict on the same
-- answer with a text planted at its end. Either is null where it is unscored.
select
    cells.experiment,
    cells.cell_id,
    cells.dataset,
    cells.language,
    cells.model,
    cells.method,
    cells.train_languages,
    cells.seed,
    cells.turn,
    probed_judges.probe,
    probed.item,
    probed_judges.judge,
    judges.judge_kind,
    probed.aspect,
    -- A judge of one aspect names it as itself.
    case
        when probed.aspect = judges.judge_kind then probed_judges.judge
        else probed_judges.judge || '.' || probed.aspect
    end || coalesce(' vs ' || probed.against, '') as measure,
    probed.against,
    -- Translations of one item are one draw: errors are clustered by this.
    case
        when experiments.parallel[cells.dataset] then probed.item
        else cells.language || '/' || probed.item
    end as item_cluster,
    plain.score,
    plain.unscored_reason,
    plain.distribution,
    probed.score as probed_score,
    probed.unscored_reason as probed_unscored_reason,
    probed.reason as probed_reason,
    probed.distribution as probed_distribution,
    probed.raw as probed_raw
from cells
join experiments on experiments.experiment = cells.experiment
join cell_judges as probed_judges on probed_judges.cell_id = cells.cell_id and probed_judges.probe <> ''
join judges on judges.experiment = cells.experiment and judges.judge = probed_judges.judge
join step_verdicts as probed
    on probed.step_id = probed_judges.judge_step_id and probed.judge_key = probed_judges.judge_key
join cell_judges as plain_judges
    on plain_judges.cell_id = cells.cell_id
        and plain_judges.judge = probed_judges.judge
        and plain_judges.probe = ''
join step_verdicts as plain
    on
        plain.step_id = plain_judges.judge_step_id
        and plain.judge_key = plain_judges.judge_key
        and plain.item = probed.item
        and plain.aspect = probed.aspect
        and plain.against is not distinct from probed.against
