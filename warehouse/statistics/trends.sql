-- The values whose trend with size is computed: one row per place of a trend, model and item.

-- Contrasts.
create or replace temp table size_trends_items as
select
    contrast,
    of,
    against,
    dataset,
    language,
    of_train_languages,
    against_train_languages,
    judge,
    measure,
    model,
    num_parameters,
    item,
    difference as value
from paired_scores
where experiment = $experiment and difference is not null;

-- Scores of the methods that a contrast names. A method may stand in several; of two sizes of one model the smaller is named, as there.
create or replace temp table score_size_trends_items as
with

sides as (
    select dataset, language, judge, measure, model, num_parameters, item, of as method, of_train_languages as train_languages, score_of as value
    from paired_scores
    where experiment = $experiment
    union all by name
    select
        dataset,
        language,
        judge,
        measure,
        model,
        num_parameters,
        item,
        against as method,
        against_train_languages as train_languages,
        score_against as value
    from paired_scores
    where experiment = $experiment
)

select
    method,
    train_languages,
    dataset,
    language,
    judge,
    measure,
    model,
    item,
    min(num_parameters) as num_parameters,
    any_value(value) as value
from sides
where value is not null
group by all;

-- A contrast in one language minus the same in another, item by item, on data sets whose items are parallel. Both methods were tuned on the
-- same in both languages, or each on the language it is asked in.
create or replace temp table language_gap_size_trends_items as
with

parallel as (
    select unnest(map_keys(parallel)) as dataset, unnest(map_values(parallel)) as is_parallel
    from experiments
    where experiment = $experiment
)

select
    here.contrast,
    here.of,
    here.against,
    here.dataset,
    here.language,
    there.language as other_language,
    here.of_train_languages,
    here.against_train_languages,
    there.of_train_languages as other_of_train_languages,
    there.against_train_languages as other_against_train_languages,
    here.judge,
    here.measure,
    here.model,
    here.num_parameters,
    here.item,
    here.value - there.value as value
from size_trends_items as here
join size_trends_items as there using (contrast, of, against, dataset, judge, measure, model, item)
join parallel on parallel.dataset = here.dataset and parallel.is_parallel
where
    here.language > there.language
    and (
        here.of_train_languages = there.of_train_languages
        or (here.of_train_languages = here.language and there.of_train_languages = there.language)
    )
    and (
        here.against_train_languages = there.against_train_languages
        or (here.against_train_languages = here.language and there.against_train_languages = there.language)
    );
