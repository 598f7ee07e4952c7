-- One row per item and pair of methods that a judge compared: who was compared, and how often the first was
-- better.
with

compared as (
    select
        verdicts.dataset,
        verdicts.language,
        verdicts.model,
        verdicts.judge,
        left(verdicts.measure, -length(' vs ' || verdicts.against)) as measure,
        verdicts.item,
        verdicts.method,
        verdicts.train_languages,
        verdicts.against,
        coalesce(opponents.train_languages, '') as against_train_languages,
        verdicts.score
    from verdicts
    join steps on steps.step_id = verdicts.step_id
    -- Which of the opponent's cells was compared with, the judge step says.
    left join (select distinct experiment, method, generate_step_id, train_languages from cells) as opponents
        on opponents.experiment = verdicts.experiment
        and opponents.method = verdicts.against
        and opponents.generate_step_id = map_extract_value(
            (steps.settings -> '$.against')::map(varchar, varchar), verdicts.against
        )
    where
        verdicts.experiment = $experiment
        and verdicts.against is not null
        and verdicts.score between 0 and 1
),

sides as (
    select
        * exclude (method, train_languages, against, against_train_languages),
        {method: method, train_languages: train_languages} as one,
        {method: against, train_languages: against_train_languages} as other
    from compared
),

-- A pair may have been judged from either side.
turned as (
    select
        * exclude (one, other, score),
        least(one, other) as first,
        greatest(one, other) as second,
        case when one <= other then score else 1 - score end as won
    from sides
)

select
    dataset,
    language,
    model,
    judge,
    measure,
    item,
    first.method as first_method,
    first.train_languages as first_train_languages,
    second.method as second_method,
    second.train_languages as second_train_languages,
    avg(won) as won
from turned
where first <> second
group by all
order by all
