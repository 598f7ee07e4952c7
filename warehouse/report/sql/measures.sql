-- One row per measure that answers of a study were scored on, in the order of its judges; people come last.
select cell_scores.measure
from cell_scores
left join judges on judges.experiment = cell_scores.experiment and judges.judge = cell_scores.judge
where cell_scores.experiment = $experiment
group by cell_scores.measure
order by min(judges.position) nulls last, cell_scores.measure
