-- One row per applied plan of a study, in their order (`n`, from 1): when (UTC), the hash of each contrast
-- that it fixed and of all of them, and whether the plan before it had a verdict already.
select
    experiment,
    n,
    applied_at,
    [contrast.sha256 for contrast in contrasts] as contrasts,
    contrasts_sha256,
    had_results
from plans
