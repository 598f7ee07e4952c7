-- One row per dataset, language, model, method, languages tuned on, opponent and measure of a comparison: how
-- often the method's answer won, in per cent, a tie counting one half (as AlpacaEval counts: the mean of
-- preference - 1 over items, its standard error the sample standard deviation over the root of n). Seeds are
-- averaged within an item first; `n` counts items with a score, `n_unscored` verdicts without one.
-- `n_inconsistent` counts verdicts whose winner changed with the order in which the two answers stood: ties
-- in the win rate. Their share is of the verdicts for which both orders were asked and read; null where none
-- was.
--
-- The 95% interval is Wilson's for an effective number of items, with the variance of training seeds where
-- there are several.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select *
from win_rates
order by all
