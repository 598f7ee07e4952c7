-- Mark the statistics of the study `$experiment` as stale.
insert or ignore into stale_slices
select distinct experiment, dataset, model
from cells
where experiment = $experiment;

update experiments
set is_computed = false
where experiment = $experiment;
