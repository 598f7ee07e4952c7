-- One row per applied plan of a study, cell and judge, with the data step whose examples were asked.
select
    planned.experiment,
    planned.n,
    planned.cell.dataset,
    planned.cell.cell_id,
    planned.judge,
    steps.settings ->> '$.examples' as examples
from (
    select experiment, n, cell, unnest(cell.judges) as judge
    from (select experiment, n, unnest(cells) as cell from plans)
) as planned
join steps on steps.step_id = planned.cell.generate
