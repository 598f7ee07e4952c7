-- One row per contrast, dataset, language, model, languages tuned on (either side) and measure: what
-- `contrast_by_language_and_size` is made of. Where asking stopped, items without a verdict on a side, scored
-- or not, were never asked there, and are not lost.
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
left join asked_contrasts using (experiment, contrast, of, against)
where
    asked_contrasts.stopped_by is null
    or (n_scored_of + n_unscored_of > 0 and n_scored_against + n_unscored_against > 0)
group by all
