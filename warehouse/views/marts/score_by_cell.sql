-- One row per cell and measure: the mean over items, with its 95% interval. `n` counts scores, `n_unscored`
-- verdicts without one, `n_missing` answers that do not exist; the share cut is of the answers that do, and
-- null for recorded ones, which do not say how they ended. `judge_standard_deviation` is that of the judge's
-- own distributions, and no part of the interval.
select *
from cell_scores
order by all
