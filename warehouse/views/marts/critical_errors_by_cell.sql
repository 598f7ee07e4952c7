-- One row per dataset, language, model, method, languages tuned on and error: the share of answers that have
-- it, seeds averaged within an item, with Wilson's 95% interval over items. `cut` (ended by the length limit)
-- needs no judge and stands where `truncated`, which says the same and more, was not asked; recorded answers
-- do not say how they ended, and have none. The others are judges' verdicts.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select *
from critical_errors
order by all
