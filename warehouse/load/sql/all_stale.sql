-- Mark the statistics of all studies as stale: they are those of another version of xp.
insert into stale_slices
select distinct experiment, dataset, model
from cells
except from stale_slices;

update experiments
set is_computed = false;
