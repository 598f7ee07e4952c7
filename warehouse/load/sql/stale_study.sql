-- Nothing that is kept of the study `$experiment` is that of what is loaded.
insert or ignore into stale_slices
select distinct experiment, dataset, model
from cells
where experiment = $experiment;

update experiments
set is_computed = false
where experiment = $experiment;
