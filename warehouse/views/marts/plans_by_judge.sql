-- One row per study, dataset and judge: the ledger of what was ever applied there. Plans of all studies of
-- the store are counted, with their cells and contrasts, that had answers to any of the study's items judged
-- by a judge of that name; a cell counts once for each data that it was asked on. An item is the same where
-- its id, its question and the conversation before it are, in whatever file. Of the study's `n_items`, as
-- they were asked last, every counted plan asked at least `n_shared_items`. `n_added` are contrasts that a
-- study got after its first verdict; `contrasts_sha256` and `fixed_at` are of the study's plan of today,
-- whose contrasts were fixed then (UTC).
with

applied as materialized (
    select distinct experiment, n, dataset, judge, examples
    from applied_cells
),

-- as they were asked last
own as materialized (
    select distinct experiment, dataset, judge, examples
    from applied
    qualify n = max(n) over (partition by experiment, dataset, judge)
),

-- items that the same data steps have, which most share with all others of their file
alike as (
    select step_ids, count(*) as n_items
    from (
        select list(distinct examples order by examples) as step_ids
        from asked_examples
        where examples in (select examples from applied)
        group by asked
    )
    group by step_ids
),

shared as materialized (
    select examples, other_examples, sum(n_items) as n_items
    from (
        select examples, unnest(step_ids) as other_examples, n_items
        from (select unnest(step_ids) as examples, step_ids, n_items from alike)
        where examples in (select examples from own)
    )
    group by all
),

asked as (
    select
        own.experiment,
        own.dataset,
        own.judge,
        own.examples,
        asked.experiment as counted_experiment,
        asked.n,
        max(shared.n_items) as n_items
    from own
    join shared on shared.examples = own.examples
    join applied as asked on asked.examples = shared.other_examples and asked.judge = own.judge
    group by all
),

asked_by_plan as materialized (
    select experiment, dataset, judge, counted_experiment, n, sum(n_items)::bigint as n_items
    from asked
    group by all
),

counted as (
    select
        experiment,
        dataset,
        judge,
        count(*) as n_plans,
        count(distinct counted_experiment) as n_studies,
        max(n_items) as n_items,  -- its own plan asked all of them
        min(n_items) as n_shared_items
    from asked_by_plan
    group by all
),

-- of the same name, once for each data that it was asked on
cells_by_data as (
    select examples, judge, count(distinct cell_id) as n_cells
    from applied_cells
    group by all
),

cells_of as (
    select experiment, dataset, judge, sum(n_cells)::bigint as n_cells
    from (
        select distinct own.experiment, own.dataset, own.judge, shared.other_examples as examples
        from own
        join shared on shared.examples = own.examples
    )
    join cells_by_data using (examples, judge)
    group by all
),

-- the first plan that has a contrast
fixed as (
    select experiment, contrast, min(n) as n
    from (select experiment, n, unnest(contrasts) as contrast from applied_plans)
    group by all
),

contrasts_of as (
    select
        fixed.experiment,
        count(*) as n_contrasts,
        count(*) filter (plans.had_results) as n_added
    from fixed
    join applied_plans as plans on plans.experiment = fixed.experiment and plans.n = fixed.n
    group by all
),

studies as (
    select distinct experiment, dataset, judge, counted_experiment
    from asked_by_plan
),

compared as (
    select
        studies.experiment,
        studies.dataset,
        studies.judge,
        sum(contrasts_of.n_contrasts)::bigint as n_contrasts,
        sum(contrasts_of.n_added)::bigint as n_added
    from studies
    join contrasts_of on contrasts_of.experiment = studies.counted_experiment
    group by all
)

select
    counted.experiment,
    counted.dataset,
    counted.judge,
    counted.n_plans,
    counted.n_studies,
    cells_of.n_cells,
    counted.n_items,
    counted.n_shared_items,
    coalesce(compared.n_contrasts, 0) as n_contrasts,
    coalesce(compared.n_added, 0) as n_added,
    latest.contrasts_sha256,
    -- the first of the plans since when they have not changed
    (
        select min(plans.applied_at)
        from applied_plans as plans
        where plans.experiment = counted.experiment and plans.contrasts_sha256 = latest.contrasts_sha256
    ) as fixed_at
from counted
join applied_plans as latest on latest.experiment = counted.experiment
join cells_of
    on
        cells_of.experiment = counted.experiment
        and cells_of.dataset = counted.dataset
        and cells_of.judge = counted.judge
left join compared
    on
        compared.experiment = counted.experiment
        and compared.dataset = counted.dataset
        and compared.judge = counted.judge
where latest.n = (select max(plans.n) from applied_plans as plans where plans.experiment = counted.experiment)
order by all
