-- Every item of the contrasts of the study `$experiment` that a model's opinion has scored, with each
-- people's measure of the same question: both differences, people's where they labelled both sides, and not
-- since judges disagree there.
with

questions as (
    select distinct
        dataset,
        language,
        model,
        case when judge_kind_a = 'human' then measure_b else measure_a end as measure,
        case when judge_kind_a = 'human' then judge_a else judge_b end as people,
        case when judge_kind_a = 'human' then measure_a else measure_b end as people_measure
    from judge_pairs
    where experiment = $experiment and (judge_kind_a = 'human') <> (judge_kind_b = 'human')
),

drawn as (
    select distinct
        dataset,
        language,
        measure,
        item
    from verdicts
    where experiment = $experiment and drawn = 'random'
),

scales as (
    select
        measure,
        max(scale_high - scale_low) as width
    from paired_scores
    where experiment = $experiment
    group by all
)

select
    judged.contrast,
    judged.dataset,
    judged.language,
    judged.model,
    judged.of_train_languages,
    judged.against_train_languages,
    judged.measure,
    questions.people,
    questions.people_measure,
    judged.item,
    judged.difference as judged,
    labelled.difference as labelled,
    drawn.item is not null as is_drawn,
    -- All answers to the item on both sides are labelled.
    coalesce(
        labelled.difference is not null
        and labelled.drawn = 'random'
        and labelled.n_scored_of >= judged.n_scored_of
        and labelled.n_scored_against >= judged.n_scored_against,
        false
    ) as is_random,
    -- Null unless both scales are known; they are the same, or the two would answer no one question.
    case when scales.width is not null then judged.scale_high - judged.scale_low end as width
from paired_scores as judged
join study_judges
    on
        study_judges.experiment = judged.experiment
        and study_judges.judge = judged.judge
        and study_judges.opinion is not null
        and not study_judges.is_people
join questions using (dataset, language, model, measure)
left join scales on scales.measure = questions.people_measure
left join paired_scores as labelled
    on
        labelled.experiment = judged.experiment
        and labelled.contrast = judged.contrast
        and labelled.dataset = judged.dataset
        and labelled.language = judged.language
        and labelled.model = judged.model
        and labelled.of_train_languages = judged.of_train_languages
        and labelled.against_train_languages = judged.against_train_languages
        and labelled.measure = questions.people_measure
        and labelled.item = judged.item
        and labelled.drawn <> 'disagreement'
left join drawn
    on
        drawn.dataset = judged.dataset
        and drawn.language = judged.language
        and drawn.measure = questions.people_measure
        and drawn.item = judged.item
where judged.experiment = $experiment and judged.difference is not null
order by all
