-- One row per contrast, dataset, language, model, languages tuned on (either side) and measure: what
-- `contrast_by_language_and_size` is made of.
select
    experiment,
    contrast,
    of,
    against,
    dataset,
    language,
    model,
    num_parameters,
    of_train_languages,
    against_train_languages,
    judge,
    measure,
    avg(difference) as estimate,
    count(difference) as n,
    count(*) - count(difference) as n_lost,
    sum(n_unscored_of + n_unscored_against)::bigint as n_unscored,
    avg(score_of) filter (where difference is not null) as mean_of,
    avg(score_against) filter (where difference is not null) as mean_against,
    avg(characters_of) filter (where difference is not null) as mean_characters_of,
    avg(characters_against) filter (where difference is not null) as mean_characters_against
from paired_scores
group by all
