-- One row per measure that is freedom from a fault: scores of 0 have it. The fault by its name.
select distinct
    cell_scores.measure,
    judges.label as fault
from cell_scores
join judges on judges.experiment = cell_scores.experiment and judges.judge = cell_scores.judge
where cell_scores.experiment = $experiment and judges.role in ('critical_error', 'detector')
order by all
