-- One row per contrast, dataset, language, model, languages tuned on (either side) and measure: the mean over items of `of` minus
-- `against`, seeds averaged within an item, with a 95% interval from the paired differences. Means and lengths are of the `n` items
-- that both sides have a score for; `n_lost` counts the others, `n_unscored` verdicts without a score on either side.
with

item_scores as (
    select
        experiment,
        dataset,
        language,
        model,
        num_parameters,
        method,
        train_languages,
        judge,
        measure,
        item,
        avg(score) as score,
        count(*) - count(score) as n_unscored
    from verdicts
    group by all
),

item_lengths as (
    select
        experiment,
        dataset,
        language,
        model,
        method,
        train_languages,
        item,
        avg(n_characters) as n_characters
    from completions
    group by all
),

sides as (
    select *
    from item_scores
    left join item_lengths using (experiment, dataset, language, model, method, train_languages, item)
),

groups as (
    select distinct
        experiment,
        dataset,
        language,
        model,
        num_parameters,
        method,
        train_languages,
        judge,
        measure
    from item_scores
),

-- The rows to come, before their items are counted: an item that only one side has must be seen as lost.
pairings as (
    select
        asked_contrasts.experiment,
        asked_contrasts.contrast,
        asked_contrasts.of,
        asked_contrasts.against,
        ours.dataset,
        ours.language,
        ours.model,
        -- Of a base and an instruct model of two sizes, the smaller is named.
        least(ours.num_parameters, theirs.num_parameters) as num_parameters,
        ours.train_languages as of_train_languages,
        theirs.train_languages as against_train_languages,
        ours.judge,
        ours.measure
    from asked_contrasts
    join groups as ours
        on ours.experiment = asked_contrasts.experiment
        and ours.method = asked_contrasts.of
        and ours.judge = coalesce(asked_contrasts.judge, ours.judge)
    join groups as theirs
        on theirs.experiment = asked_contrasts.experiment
        and theirs.method = asked_contrasts.against
        and theirs.dataset = ours.dataset
        and theirs.language = ours.language
        and theirs.model = ours.model
        and theirs.measure = ours.measure
),

stacked as (
    select
        pairings.*,
        sides.item,
        sides.score as score_of,
        null::double as score_against,
        sides.n_characters as characters_of,
        null::double as characters_against,
        sides.n_unscored
    from pairings
    join sides
        on sides.experiment = pairings.experiment
        and sides.dataset = pairings.dataset
        and sides.language = pairings.language
        and sides.model = pairings.model
        and sides.measure = pairings.measure
        and sides.method = pairings.of
        and sides.train_languages = pairings.of_train_languages
    union all
    select
        pairings.*,
        sides.item,
        null::double as score_of,
        sides.score as score_against,
        null::double as characters_of,
        sides.n_characters as characters_against,
        sides.n_unscored
    from pairings
    join sides
        on sides.experiment = pairings.experiment
        and sides.dataset = pairings.dataset
        and sides.language = pairings.language
        and sides.model = pairings.model
        and sides.measure = pairings.measure
        and sides.method = pairings.against
        and sides.train_languages = pairings.against_train_languages
),

items_of_both as (
    select
        * exclude (score_of, score_against, characters_of, characters_against, n_unscored),
        max(score_of) as score_of,
        max(score_against) as score_against,
        max(score_of) - max(score_against) as difference,
        max(characters_of) as characters_of,
        max(characters_against) as characters_against,
        sum(n_unscored) as n_unscored
    from stacked
    group by all
),

estimates as (
    select
        * exclude (item, score_of, score_against, difference, characters_of, characters_against, n_unscored),
        avg(difference) as estimate,
        stddev_samp(difference) / sqrt(count(difference)) as standard_error,
        count(difference) as n,
        count(*) - count(difference) as n_lost,
        sum(n_unscored)::bigint as n_unscored,
        avg(score_of) filter (where difference is not null) as mean_of,
        avg(score_against) filter (where difference is not null) as mean_against,
        avg(characters_of) filter (where difference is not null) as mean_characters_of,
        avg(characters_against) filter (where difference is not null) as mean_characters_against
    from items_of_both
    group by all
)

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
    estimate,
    standard_error,
    estimate - t_quantile(n - 1) * standard_error as ci_low,
    estimate + t_quantile(n - 1) * standard_error as ci_high,
    n,
    n_lost,
    n_unscored,
    mean_of,
    mean_against,
    mean_characters_of,
    mean_characters_against
from estimates
order by all
