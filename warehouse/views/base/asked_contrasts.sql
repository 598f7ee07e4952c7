-- One row per difference a study asks for: `of` minus `against`, for one judge or, where it is null, for every judge.
select
    experiment,
    contrast,
    of,
    against,
    judge
from contrasts
