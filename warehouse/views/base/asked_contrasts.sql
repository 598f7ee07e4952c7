-- One row per contrast of a study, `of` minus `against`, with the judges on whose measures it was declared.
select
    experiment,
    contrast,
    of,
    against,
    on_judges,
    is_declared
from contrasts
