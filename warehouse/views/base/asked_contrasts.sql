-- One row per contrast of a study, `of` minus `against`, with the judges on whose measures it was declared
-- and what it was declared to change with, and the settings in which its sides differ besides their methods.
-- Between models, a `method` is named; else it is null.
select
    experiment,
    contrast,
    of,
    against,
    on_judges,
    is_declared,
    "by",
    method,
    differs
from contrasts
