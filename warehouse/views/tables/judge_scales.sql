-- One row per dataset, model, question that judges answer, and scale that one of them is known to use.
select distinct
    experiment,
    dataset,
    model,
    question,
    format('{:g} to {:g}', scale_low, scale_high) as known_scale
from verdicts_by_cell
where judge_kind <> 'ensemble' and scale_low is not null and scale_high is not null
