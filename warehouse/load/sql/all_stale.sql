-- Mark the statistics of all studies as stale: they are those of another version of xp.
insert or ignore into stale_slices
select distinct experiment, dataset, model
from cells;

update experiments
set is_computed = false;
