-- The values whose trend with size is computed: one row per place of a trend, model and item.
create or replace temp table size_trends_items as
with

asked as (
    select contrast, "by"
    from contrasts
    where experiment = $experiment and not is_noise
),

differences as (
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
    where
        experiment = $experiment
        and difference is not null
        and method is null
        and contrast in (select contrast from asked)
),

parallel as (
    select unnest(map_keys(parallel)) as dataset, unnest(map_values(parallel)) as is_parallel
    from experiments
    where experiment = $experiment
),

-- A contrast in one language minus the same in another, item by item, on data sets whose items are parallel.
-- Both methods were tuned on the same in both languages, or each on the language it is asked in.
gaps as (
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
    from differences as here
    join differences as there using (contrast, of, against, dataset, judge, measure, model, item)
    join parallel on parallel.dataset = here.dataset and parallel.is_parallel
    where
        here.language > there.language
        and (
            here.of_train_languages = there.of_train_languages
            or (here.of_train_languages = here.language and there.of_train_languages = there.language)
        )
        and (
            here.against_train_languages = there.against_train_languages
            or (
                here.against_train_languages = here.language
                    and there.against_train_languages = there.language
            )
        )
),

sides as (
    select
        dataset,
        language,
        judge,
        measure,
        model,
        num_parameters,
        item,
        of,
        of_train_languages,
        score_of as value
    from paired_scores
    where
        experiment = $experiment
        and score_of is not null
        and method is null
        and contrast in (select contrast from asked)
    union all by name
    select
        dataset,
        language,
        judge,
        measure,
        model,
        num_parameters,
        item,
        against as of,
        against_train_languages as of_train_languages,
        score_against as value
    from paired_scores
    where experiment = $experiment and score_against is not null and method is null
),

-- Scores that are in no contrast are few: all verdicts are not read for them.
alone as (
    select dataset, language, model, method, train_languages, measure
    from method_scores
    where experiment = $experiment
    except
    select dataset, language, model, of as method, of_train_languages as train_languages, measure
    from sides
),

-- A method may stand in several contrasts; of two sizes of one model the smaller is named, as there.
scores as (
    select
        of,
        of_train_languages,
        dataset,
        language,
        judge,
        measure,
        model,
        min(num_parameters) as num_parameters,
        item,
        any_value(value) as value
    from sides
    group by all
    union all by name
    select
        method as of,
        train_languages as of_train_languages,
        dataset,
        language,
        judge,
        measure,
        model,
        min(num_parameters) as num_parameters,
        item,
        avg(score) as value
    from verdicts
    join alone using (dataset, language, model, method, train_languages, measure)
    where experiment = $experiment and score is not null
    group by all
)

select differences.*, tests.variance_of_seeds, tests.n_seeds, tests.n_seeds_missing
from differences
join asked using (contrast)
left join contrast_tests as tests
    on tests.experiment = $experiment
    and tests.contrast = differences.contrast
    and tests.dataset = differences.dataset
    and tests.language = differences.language
    and tests.model = differences.model
    and tests.of_train_languages = differences.of_train_languages
    and tests.against_train_languages = differences.against_train_languages
    and tests.measure = differences.measure
where len(asked."by") = 0 or asked."by" = ['size']

union all by name

select gaps.*, tests.variance_of_seeds, tests.n_seeds, tests.n_seeds_missing
from gaps
join asked using (contrast)
left join language_gaps as tests
    on tests.experiment = $experiment
    and tests.contrast = gaps.contrast
    and tests.dataset = gaps.dataset
    and tests.language = gaps.language
    and tests.other_language = gaps.other_language
    and tests.model = gaps.model
    and tests.of_train_languages = gaps.of_train_languages
    and tests.against_train_languages = gaps.against_train_languages
    and tests.other_of_train_languages = gaps.other_of_train_languages
    and tests.other_against_train_languages = gaps.other_against_train_languages
    and tests.measure = gaps.measure
where len(asked."by") = 0 or asked."by" = ['language', 'size']

union all by name

select
    scores.*,
    means.variance_of_seeds,
    case when means.train_languages <> '' then means.n_seeds end as n_seeds,
    case when means.train_languages <> '' then means.n_seeds_missing end as n_seeds_missing
from scores
left join method_scores as means
    on means.experiment = $experiment
    and means.dataset = scores.dataset
    and means.language = scores.language
    and means.model = scores.model
    and means.method = scores.of
    and means.train_languages = scores.of_train_languages
    and means.measure = scores.measure;
