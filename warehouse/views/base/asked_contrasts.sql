-- One row per contrast of a study, `of` minus `against`, with the judges on whose measures it was declared
-- and what it was declared to change with.
select
    experiment,
    contrast,
    of,
    against,
    on_judges,
    is_declared,
    "by"
from contrasts
