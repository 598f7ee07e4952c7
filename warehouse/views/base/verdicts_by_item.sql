-- One row per dataset, language, model, method, languages tuned on, measure, item and turn: its verdicts over
-- all seeds. The mean score is null where none has one. `judge_variance` is the mean variance of the judge's
-- own distributions: no sampling error, so no part of one. `drawn` is of people: of several ways the one that
-- says least of other items, which is the first in the alphabet.
select
    experiment,
    dataset,
    language,
    model,
    num_parameters,
    method,
    method_kind,
    train_languages,
    judge,
    judge_kind,
    measure,
    item,
    turn,
    is_replicate,
    item_cluster,
    avg(score) as score,
    sum(score) as total,
    avg(score_variance) filter (where score is not null) as judge_variance,
    count(score) as n_scored,
    count(*) - count(score) as n_unscored,
    min(scale_low) as scale_low,
    max(scale_high) as scale_high,
    min(drawn) as drawn
from verdicts
group by all
