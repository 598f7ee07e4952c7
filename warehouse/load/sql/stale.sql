-- Mark as stale the statistics of the studies' data sets and models that these steps, `$step_ids`, serve. A
-- model whose size is counted from its weights is of another size everywhere once more of it is loaded.
create or replace temp table touched as
select distinct
    experiment,
    dataset,
    model,
    num_parameters is null as is_counted
from cells
where
    generate_step_id in (select unnest($step_ids))
    or cell_id in (select cell_id from cell_judges where judge_step_id in (select unnest($step_ids)));

-- A contrast between models is computed with its first.
insert into touched
select touched.experiment, touched.dataset, contrasts.of as model, touched.is_counted
from touched
join contrasts
    on
        contrasts.experiment = touched.experiment
        and contrasts.against = touched.model
        and contrasts.method is not null;

insert into stale_slices
select distinct cells.experiment, cells.dataset, cells.model
from cells
join touched
    on
        touched.experiment = cells.experiment
        and touched.model = cells.model
        and (touched.dataset = cells.dataset or touched.is_counted)
except from stale_slices;

update experiments
set is_computed = false
where experiment in (select experiment from touched);

drop table touched;
