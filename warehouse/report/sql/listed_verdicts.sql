-- One row per answer named by `cells` and `items`: the verdict on one measure.
select
    cell_id,
    item,
    measure,
    score,
    unscored_reason,
    null as reason,
    is_wrong
from verdicts_on_scale
where
    experiment = $experiment
    and judge = $judge
    and measure = $measure
    and list_contains($cells, cell_id)
    and list_contains($items, item)
