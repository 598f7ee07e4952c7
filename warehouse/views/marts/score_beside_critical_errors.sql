-- One row per dataset, language, model, method, languages tuned on and measure: how often an answer has a
-- critical error (`p_critical`, with Wilson's interval over items), how the answers without one score
-- (`mean_of_rest`), and both together: the mean in which an answer with a critical error counts as the worst
-- value of the judge's scale (`mean_with_errors_as_worst`; null where the scale has no lowest value), beside
-- the plain mean of all scores. Means are over items, seeds averaged within, with 95% intervals.
--
-- Critical are the faults that leave nothing worth scoring: loop, language, code, empty, prompt_echo, as far
-- as the study has judges for them (`detectors`). A cut is made by the study's own length limit, and to
-- refuse may be right: `truncated` and `refusal` are counted in `critical_errors_by_cell` only. An answer has
-- a critical error where one detector found one, and none where no detector did and at least one could judge
-- it; `n_unjudged` answers no detector judged, and they enter none of the four figures but the plain mean.
-- `n_partly_judged` items have an answer in which none was found and that not every detector could judge: the
-- share is at least `p_critical`, and as much larger as errors hide in these.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select *
from scores_beside_errors
order by all
