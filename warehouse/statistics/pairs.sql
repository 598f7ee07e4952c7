-- Every item of every contrast of a study: what either method scored on it, seeds averaged, then the turns on
-- which both have a score. An item that one side lacks is there too, so that it is seen as lost. A contrast
-- between models is computed with its first.
insert into paired_scores by name
with

item_scores as (
    select
        * exclude (experiment, method_kind, is_replicate, judge_kind, judge_variance)
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
        turn,
        avg(n_characters) as n_characters
    from completions
    where experiment = $experiment
    group by all
),

sides as (
    select item_scores.* exclude (scale_low, scale_high), item_lengths.n_characters
    from item_scores
    left join item_lengths
        on item_lengths.dataset = item_scores.dataset
        and item_lengths.language = item_scores.language
        and item_lengths.model = item_scores.model
        and item_lengths.method = item_scores.method
        and item_lengths.train_languages = item_scores.train_languages
        and item_lengths.item = item_scores.item
        and item_lengths.turn is not distinct from item_scores.turn
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
        on list_contains($models, ours.model)
        and ours.method = coalesce(asked_contrasts.method, asked_contrasts.of)
        and (asked_contrasts.method is null or ours.model = asked_contrasts.of)
    join groups as theirs
        on theirs.method = coalesce(asked_contrasts.method, asked_contrasts.against)
        and theirs.model
        = case when asked_contrasts.method is null then ours.model else asked_contrasts.against end
        and theirs.dataset = ours.dataset
        and theirs.language = ours.language
        and theirs.measure = ours.measure
        -- A model beside another, and a method beside itself, are what was tuned on the same.
        and (
            (asked_contrasts.method is null and not asked_contrasts.is_noise)
            or theirs.train_languages = ours.train_languages
        )
    join scales on scales.measure = ours.measure
    where asked_contrasts.experiment = $experiment
),

stacked as (
    select
        pairings.*,
        true as is_of,
        sides.item,
        sides.turn,
        sides.item_cluster,
        sides.score,
        sides.total,
        sides.n_scored,
        sides.n_unscored,
        sides.n_characters,
        sides.drawn
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
        sides.turn,
        sides.item_cluster,
        sides.score,
        sides.total,
        sides.n_scored,
        sides.n_unscored,
        sides.n_characters,
        sides.drawn
    from pairings
    join sides
        on sides.dataset = pairings.dataset
        and sides.language = pairings.language
        and sides.model = pairings.against_model
        and sides.method = pairings.against_method
        and sides.train_languages = pairings.against_train_languages
        and sides.measure = pairings.measure
),

by_turn as (
    select
        * exclude (is_of, score, total, n_scored, n_unscored, n_characters, drawn),
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
        coalesce(max(n_unscored) filter (where not is_of), 0) as n_unscored_against,
        min(drawn) as drawn
    from stacked
    group by all
)

select
    * exclude (
        against_model, of_method, against_method, turn,
        score_of, score_against, difference, characters_of, characters_against, total_of, total_against,
        n_scored_of, n_scored_against, n_unscored_of, n_unscored_against, drawn
    ),
    coalesce(avg(score_of) filter (where difference is not null), avg(score_of)) as score_of,
    coalesce(avg(score_against) filter (where difference is not null), avg(score_against)) as score_against,
    avg(difference) as difference,
    coalesce(avg(characters_of) filter (where difference is not null), avg(characters_of)) as characters_of,
    coalesce(
        avg(characters_against) filter (where difference is not null), avg(characters_against)
    ) as characters_against,
    sum(total_of) as total_of,
    sum(total_against) as total_against,
    sum(n_scored_of)::bigint as n_scored_of,
    sum(n_scored_against)::bigint as n_scored_against,
    sum(n_unscored_of)::bigint as n_unscored_of,
    sum(n_unscored_against)::bigint as n_unscored_against,
    min(drawn) as drawn
from by_turn
group by all
order by all;  -- sums of rows in the same order are the same to the last digit
