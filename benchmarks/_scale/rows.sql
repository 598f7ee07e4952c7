-- The rows of a synthetic study. Everything is drawn by a hash of its place, so the same shape always has the
-- same rows.

create or replace temp macro draw(key, n) as (hash(key) % n)::bigint;
create or replace temp macro share(key) as (hash(key) % 1000000) / 1000000.0;
-- A whole number for each answer (of the cell at `place` to the question of this number) and each thing drawn
-- about it.
create or replace temp macro drawn(place, number, what) as place * 1000000 + number * 100 + what;

-- Four thousand phrases of made-up words in each language, of which texts are made.
create or replace temp table phrases as
with

words as (
    select
        language,
        n,
        array_to_string(
            [
                ['ba', 'le', 'mi', 'tro', 'en', 'qui', 'sa', 'vor', 'del', 'ng', 'pu', 'é', 'ja',
                   'ço', 'ster', 'on'][
                    1 + draw(language || least(n % 4000, draw(n, 3000)) || '/' || k, 16)
                ]
                for k in range(1 + draw(language || least(n % 4000, draw(n, 3000)), 4))
            ],
            ''
        ) as word
    from (select distinct language from cells), range(40000) as r(n)
),

joined as (
    select language, n // 10 as phrase, string_agg(word, ' ' order by n) as text
    from words
    group by all
)

select language, list(text || '. ' order by phrase) as texts
from joined
group by language;

-- Pieces of up to six phrases: an answer is two of them.
create or replace temp table pieces as
select
    language,
    number,
    array_to_string(texts[1 + number % 1990 : 1 + number % 1990 + draw(number, 6)], '') as piece
from phrases, range(4000) as r(number);

create or replace temp table asked as
select
    cells.cell_id,
    cells.dataset,
    cells.language,
    cells.model,
    cells.method,
    cells.generate_step_id,
    0.2 + 0.5 * share(cells.method) + 0.2 * share(cells.model) + 0.1 * share(cells.language) as skill,
    cells.rowid as place
from cells
where $models is null or list_contains($models, cells.model);

create or replace temp table questions as
select
    dataset,
    format('{:04d}', number) as item,
    number,
    share(number) as difficulty
from (select unnest($datasets) as dataset, unnest($counts) as n_items),
    lateral (select unnest(range(n_items)) as number);

create or replace temp table sent as
select
    asked.dataset,
    asked.language,
    asked.method,
    questions.number,
    format('# Preamble for {} in {}: ', asked.method, asked.language)
    || array_to_string(texts[1:22], '')
    || '# Query: '
    || texts[1 + questions.number % 2000] as prompt,
    sha256(prompt) as prompt_id
from (select distinct dataset, language, method from asked) as asked
join questions using (dataset)
join phrases using (language);

create or replace temp macro answers() as table
select
    asked.generate_step_id as step_id,
    questions.item,
    asked.language,
    []::struct(role varchar, content varchar)[] as turns,
    sent.prompt_id,
    sent.prompt,
    case when share(drawn(asked.place, questions.number, 1)) > 0.001 then a.piece || b.piece end as text,
    length(text) as n_characters,
    text as raw_text,
    share(drawn(asked.place, questions.number, 3)) as luck,
    case
        when text is null then 'error'
        when luck < 0.12 then 'length'
        when luck < 0.3 then 'stop'
        else 'eos'
    end as finish_reason,
    case when finish_reason = 'stop' then '# Query' end as stop_string,
    case when text is null then 'the server gave no answer' end as error,
    256::bigint as max_new_tokens,
    700 + questions.number % 60 as n_prompt_tokens,
    n_characters // 4 as n_new_tokens,
    0.1 + luck as seconds,
    24::bigint as batch_size,
    hash(drawn(asked.place, questions.number, 4))::hugeint as seed,
    'transformers' as engine,
    null::varchar as model_served
from asked
join questions using (dataset)
join sent using (dataset, language, method, number)
join pieces as a on a.language = asked.language
    and a.number = draw(drawn(asked.place, questions.number, 0), 4000)
join pieces as b on b.language = asked.language
    and b.number = draw(drawn(asked.place, questions.number, 2), 4000);

-- One row per judge step and aspect.
create or replace temp table judging as
select
    asked.*,
    cell_judges.judge_step_id,
    cell_judges.judge_key,
    kinds.kind,
    kinds.turn,
    unnest(kinds.aspects) as aspect
from asked
join cell_judges using (cell_id)
join (
    values
    ('right', 'contains', 10, ['contains']),
    ('loop', 'loop', 11, ['loop']),
    ('language', 'language', 12, ['language']),
    ('opinion', 'rubric', 13, ['helpfulness']),
    ('second', 'rubric', 14, ['helpfulness']),
    ('duel', 'pairwise', 15, ['pairwise']),
    ('follows', 'ifeval', 16, ['strict', 'loose']),
    ('length', 'length', 17, ['length'])
) as kinds(judge, kind, turn, aspects) using (judge);

create or replace temp macro judgements() as table
select
    judging.judge_step_id as step_id,
    judging.judge_key,
    questions.item,
    judging.language,
    judging.aspect,
    case when judging.kind = 'pairwise' then 'instruct' end as against,
    -- In part the answer's own, so that judges of one answer agree more than by chance.
    0.6 * share(drawn(judging.place, questions.number, 5))
        + 0.4 * share(drawn(judging.place, questions.number, judging.turn)) as luck,
    judging.kind in ('rubric', 'pairwise') as is_model,
    case
        when is_model and share(drawn(judging.place, questions.number, 20 + judging.turn)) < 0.02 then null
        when judging.kind = 'contains' then (luck < judging.skill + 0.3 - 0.6 * questions.difficulty)::integer
        when judging.kind = 'loop' then (luck < 0.8)::integer
        when judging.kind = 'language' then (luck < 0.85)::integer
        when judging.kind = 'rubric' then 1 + least(4, floor(5 * (1 - luck) * (0.4 + judging.skill)))
        when judging.kind = 'pairwise' then least(2, floor(3 * (1 - luck) * (0.4 + judging.skill))) / 2
        when judging.kind = 'ifeval' then (luck < 0.8 * judging.skill)::integer
        else floor(640 * luck)
    end::double as score,
    case
        when score is null
            then ['the reply names no score', 'the server did not answer', 'the score is out of range'][
                1 + questions.number % 3]
    end as unscored_reason,
    case when judging.kind = 'rubric' and score is not null then piece end as reason,
    null::json as distribution,
    case
        when judging.kind = 'pairwise' and score is not null
            then '{"first":' || score || ',"second":'
                || case when luck between 0.45 and 0.5 then 1 - score else score end || '}'
        when judging.kind = 'ifeval'
            then '{"punctuation:no_comma":' || score
                || ',"length_constraints:number_words":' || (luck < judging.skill)::integer || '.0}'
    end::json as parts,
    case when is_model then '{"score": ' || coalesce(score::varchar, '?')
        || ', "reason": "' || coalesce(reason, 'none') || '"}' end as raw,
    case when is_model then 400 + questions.number % 60 end as n_prompt_tokens,
    case when is_model then 30 end as n_new_tokens,
    case when is_model then 0.2 else 0.0001 end as seconds,
    case when is_model then 0.00005 end as usd,
    case when is_model then 'judge-2026' end as model_served
from judging
join questions using (dataset)
join pieces on pieces.language = judging.language
    and pieces.number = draw(drawn(judging.place, questions.number, 6), 4000);
