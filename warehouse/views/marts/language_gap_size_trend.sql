-- One row per contrast, dataset, measure and two languages with parallel items, for each pair of methods tuned on comparable languages, if
-- several models were asked: the interaction of method, size and language. `slope` is the change, for ten times the parameters, of the
-- contrast in `language` minus the contrast in `other_language`, null with a reason, computed as in `size_trend` and exploratory too.
select
    * exclude (n, n_items, n_sizes, n_models),
    'exploratory' as family,
    p_value < 0.05 as is_significant_uncorrected,
    n,
    n_items,
    n_sizes,
    n_models
from language_gap_size_trends
order by all
