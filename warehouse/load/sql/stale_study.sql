-- Mark the statistics of the study `$experiment` as stale.
insert into stale_slices
select distinct experiment, dataset, model
from cells
where experiment = $experiment
except from stale_slices;

update experiments
set is_computed = false
where experiment = $experiment;
