-- One row per cell and item about which two judges of quality disagree: on their scales from 0 to 1, they lie
-- half a scale or more apart. Of a judge of several aspects the mean counts; judges that compare answers with
-- others do not count.
with

placed as (
    select
        experiment,
        dataset,
        language,
        cell_id,
        item,
        judge,
        avg(position) as position
    from verdicts_on_scale
    where role = 'quality' and against is null and position is not null
    group by all
)

select
    experiment,
    dataset,
    language,
    cell_id,
    item,
    count(*) as n_judges,
    max(position) - min(position) as distance
from placed
group by all
having max(position) - min(position) >= 0.5
