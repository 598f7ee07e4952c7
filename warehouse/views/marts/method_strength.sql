-- One row per dataset, language, model, measure that compares answers, and method with the languages it was
-- tuned on: its Bradley–Terry strength in log-odds against a method of mean strength, with a 95%
-- profile-likelihood interval scaled for clustering by item, and its win rate over all methods it met (ties
-- one half). Where some methods won or lost everything (`is_regularised`), an infinite end of the interval is
-- null.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select *
from method_strengths
order by all
