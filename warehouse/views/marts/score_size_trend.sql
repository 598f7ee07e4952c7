-- One row per method that a contrast names, languages it was tuned on, dataset, language and measure that was asked of several models: the
-- change of the mean score for ten times the parameters (`slope`), null with a reason, computed as in `size_trend` and exploratory too.
select
    * exclude (n, n_items, n_sizes, n_models),
    'exploratory' as family,
    p_value < 0.05 as is_significant_uncorrected,
    n,
    n_items,
    n_sizes,
    n_models
from score_size_trends
order by all
