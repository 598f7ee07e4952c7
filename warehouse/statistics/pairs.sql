-- Every item of every contrast of a study: what either method scored on it, seeds averaged. An item that one
-- side lacks is there too, so that it is seen as lost. A contrast between models is computed with its first.
insert into paired_scores by name
with

item_scores as (
    select
        * exclude (experiment, method_kind, judge_kind, judge_variance)
    from verdicts_by_item
    where experiment = $experiment
),

item_lengths as (
    select
        dataset,
        language,
        model,
        method,
        train_languages,
        item,
        avg(n_characters) as n_characters
    from completions
    where experiment = $experiment
    group by all
),

sides as (
    select item_scores.* exclude (scale_low, scale_high), item_lengths.n_characters
    from item_scores
    left join item_lengths using (dataset, language, model, method, train_languages, item)
),

scales as (
    select measure, min(scale_low) as scale_low, max(scale_high) as scale_high
    from item_scores
    group by all
),

groups as (
    select distinct dataset, language, model, num_parameters, method, train_languages, judge, measure
    from item_scores
),

pairings as (
    select
        asked_contrasts.experiment,
        asked_contrasts.contrast,
        asked_contrasts.of,
        asked_contrasts.against,
        asked_contrasts.method,
        ours.dataset,
        ours.language,
        ours.model,
        theirs.model as against_model,
        ours.method as of_method,
        theirs.method as against_method,
        -- Of a base and an instruct model of two sizes, the smaller is named; two models have no one size.
        case
            when asked_contrasts.method is null then least(ours.num_parameters, theirs.num_parameters)
        end as num_parameters,
        ours.train_languages as of_train_languages,
        theirs.train_languages as against_train_languages,
        ours.judge,
        ours.measure,
        scales.scale_low,
        scales.scale_high
    from asked_contrasts
    join groups as ours
        on ours.model = $model
        and ours.method = coalesce(asked_contrasts.method, asked_contrasts.of)
        and (asked_contrasts.method is null or ours.model = asked_contrasts.of)
    join groups as theirs
        on theirs.method = coalesce(asked_contrasts.method, asked_contrasts.against)
        and theirs.model
        = case when asked_contrasts.method is null then ours.model else asked_contrasts.against end
        and theirs.dataset = ours.dataset
        and theirs.language = ours.language
        and theirs.measure = ours.measure
        and (asked_contrasts.method is null or theirs.train_languages = ours.train_languages)
    join scales on scales.measure = ours.measure
    where asked_contrasts.experiment = $experiment
),

stacked as (
    select
        pairings.*,
        true as is_of,
        sides.item,
        sides.item_cluster,
        sides.score,
        sides.total,
        sides.n_scored,
        sides.n_unscored,
        sides.n_characters
    from pairings
    join sides
        on sides.dataset = pairings.dataset
        and sides.language = pairings.language
        and sides.model = pairings.model
        and sides.method = pairings.of_method
        and sides.train_languages = pairings.of_train_languages
        and sides.measure = pairings.measure
    union all by name
    select
        pairings.*,
        false as is_of,
        sides.item,
        sides.item_cluster,
        sides.score,
        sides.total,
        sides.n_scored,
        sides.n_unscored,
        sides.n_characters
    from pairings
    join sides
        on sides.dataset = pairings.dataset
        and sides.language = pairings.language
        and sides.model = pairings.against_model
        and sides.method = pairings.against_method
        and sides.train_languages = pairings.against_train_languages
        and sides.measure = pairings.measure
)

select
    * exclude (
        is_of, score, total, n_scored, n_unscored, n_characters, against_model, of_method, against_method
    ),
    max(score) filter (where is_of) as score_of,
    max(score) filter (where not is_of) as score_against,
    score_of - score_against as difference,
    max(n_characters) filter (where is_of) as characters_of,
    max(n_characters) filter (where not is_of) as characters_against,
    coalesce(max(total) filter (where is_of), 0) as total_of,
    coalesce(max(total) filter (where not is_of), 0) as total_against,
    coalesce(max(n_scored) filter (where is_of), 0) as n_scored_of,
    coalesce(max(n_scored) filter (where not is_of), 0) as n_scored_against,
    coalesce(max(n_unscored) filter (where is_of), 0) as n_unscored_of,
    coalesce(max(n_unscored) filter (where not is_of), 0) as n_unscored_against
from stacked
group by all
order by all;  -- sums of rows in the same order are the same to the last digit
