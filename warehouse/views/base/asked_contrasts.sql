-- One row per contrast of a study, `of` minus `against`, with the judges on whose measures it was declared
-- and what it was declared to change with. Between models, a `method` is named; else it is null. `differs`
-- has the settings besides the methods in which its sides differ. `stopped_by` is the contrast that decided
-- how many items of a side were asked. `is_noise` is true of a method and itself, asked again.
select
    experiment,
    contrast,
    of,
    against,
    on_judges,
    is_declared,
    "by",
    method,
    differs,
    stopped_by,
    stopping_rule,
    is_noise
from contrasts
