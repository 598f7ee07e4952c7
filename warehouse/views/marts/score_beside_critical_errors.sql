-- One row per dataset, language, model, method, languages tuned on and measure: how often an answer has a
-- critical error (`p_critical`, with Wilson's interval over items), how the answers without one score
-- (`mean_of_rest`), and both together: the mean in which an answer with a critical error counts as the worst
-- value of the judge's scale (`mean_with_errors_as_worst`; null where the scale has no lowest value), beside
-- the plain mean of all scores. Means are over items, seeds averaged within, with 95% intervals.
--
-- Critical are the faults that leave nothing worth scoring: loop, language, code, empty, prompt_echo, as far
-- as the study has judges for them (`detectors`). A cut is made by the study's own length limit, and to
-- refuse may be right: `truncated` and `refusal` are counted in `critical_errors_by_cell` only. An answer has
-- a critical error where one detector found one, and none where all that its cell was asked for judged it and
-- none did. Of the others it is not known, since a detector could not judge them or did not look at them:
-- these `n_unjudged` answers enter none of the four figures but the plain mean. One detector is enough to
-- know of an error and all are needed to know of none: `p_critical` is too high where many answers are
-- unjudged.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select *
from scores_beside_errors
order by all
