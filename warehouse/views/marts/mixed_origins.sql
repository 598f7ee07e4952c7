-- One row per study, maker and model of rows that were not all made alike although they are compared: by
-- several versions of the code, on several kinds of device, in several precisions, or with several versions
-- of the libraries.
select
    experiment,
    kind,
    made_by,
    model,
    count(distinct code) as n_codes,
    count(distinct device) as n_devices,
    count(distinct dtype) as n_dtypes,
    count(distinct versions) as n_versions,
    sum(n_rows) as n_rows
from row_origins
group by all
having count(distinct code) > 1
    or count(distinct device) > 1
    or count(distinct dtype) > 1
    or count(distinct versions) > 1
order by all
