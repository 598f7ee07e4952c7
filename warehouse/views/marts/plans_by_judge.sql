-- One row per study, dataset and judge: the ledger of what was ever applied there. Plans of all studies of
-- the store that asked the same examples and had them judged by a judge of that name are counted, with
-- their cells and contrasts. `n_added` are contrasts that a study got after its first verdict;
-- `contrasts_sha256` and `fixed_at` are of the study's plan of today, whose contrasts were fixed then
-- (UTC).
with

own as (
    select distinct experiment, dataset, judge, examples
    from applied_cells
),

counted as (
    select
        own.experiment,
        own.dataset,
        own.judge,
        count(distinct (asked.experiment, asked.n)) as n_plans,
        count(distinct asked.experiment) as n_studies,
        count(distinct asked.cell_id) as n_cells
    from own
    join applied_cells as asked on asked.examples = own.examples and asked.judge = own.judge
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
    select distinct own.experiment, own.dataset, own.judge, asked.experiment as counted_experiment
    from own
    join applied_cells as asked on asked.examples = own.examples and asked.judge = own.judge
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
    counted.n_cells,
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
left join compared
    on
        compared.experiment = counted.experiment
        and compared.dataset = counted.dataset
        and compared.judge = counted.judge
where latest.n = (select max(plans.n) from applied_plans as plans where plans.experiment = counted.experiment)
order by all
