-- Nothing that is kept of any study is that of this version of xp.
insert or ignore into stale_slices
select distinct experiment, dataset, model
from cells;

update experiments
set is_computed = false;
