-- One row per difference a study asks for: `of` minus `against`. It is confirmatory on the measures of `on_measures` where the study declares
-- it, and exploratory on those of every other judge.
select
    experiment,
    contrast,
    of,
    against,
    on_measures,
    is_declared
from contrasts
