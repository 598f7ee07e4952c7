-- One row per contrast, dataset, language, languages tuned on (either side) and measure that was asked of several models: the change of the
-- difference for ten times the parameters (`slope`), and the size at which both methods are equal (`crossing`, in parameters; Fieller's
-- interval), each null with a reason where the data cannot say it. The models are a sample: their scatter around the line is a variance
-- component beside the covariance from the items they share, and the interval is Student's with models − 2 degrees of freedom. A trend
-- needs four models of three sizes. All trends are exploratory (`family`), and their p-values are not corrected.
select
    * exclude (n, n_items, n_sizes, n_models),
    'exploratory' as family,
    p_value < 0.05 as is_significant_uncorrected,
    n,
    n_items,
    n_sizes,
    n_models
from size_trends
order by all
