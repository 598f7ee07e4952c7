-- One row per dataset, language, model, method and languages tuned on of the studies `$old` in `old` and
-- `$new` in `new`: how many answers both have, alike or not, and how many one of them has alone. `items` are
-- the first whose answers differ.
with

old_answers as (
    select
        dataset, language, model, method, train_languages, coalesce(seed, -1) as seed, item,
        coalesce(turn, 0) as turn, prompt_id, text
    from old.completions
    where experiment = $old
),

new_answers as (
    select
        dataset, language, model, method, train_languages, coalesce(seed, -1) as seed, item,
        coalesce(turn, 0) as turn, prompt_id, text
    from new.completions
    where experiment = $new
),

pairs as (
    select
        dataset,
        language,
        model,
        method,
        train_languages,
        item,
        old_answers.prompt_id is not null as is_in_old,
        new_answers.prompt_id is not null as is_in_new,
        old_answers.prompt_id is distinct from new_answers.prompt_id as has_other_prompt,
        old_answers.text is distinct from new_answers.text as has_other_text
    from old_answers
    full join new_answers using (dataset, language, model, method, train_languages, seed, item, turn)
)

select
    dataset,
    language,
    model,
    method,
    train_languages,
    count(*) filter (is_in_old and is_in_new and not has_other_text) as n_alike,
    count(*) filter (is_in_old and is_in_new and has_other_text) as n_unlike,
    count(*) filter (is_in_old and is_in_new and has_other_text and has_other_prompt) as n_other_prompts,
    count(*) filter (not is_in_new) as n_only_old,
    count(*) filter (not is_in_old) as n_only_new,
    coalesce(
        list_slice(
            list_sort(list(distinct item) filter (is_in_old and is_in_new and has_other_text)), 1, 3
        ),
        []
    ) as items
from pairs
group by all
order by all
