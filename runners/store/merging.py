"""A finished step of elsewhere, brought into a store: copied aside, checked, then moved into its place."""

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from dsl.data.records import Outcome
from dsl.data.regular_files import sync
from dsl.values import Sha256, StepId
from runners.store.digests import OUTCOME, Checked, Checks, Damaged
from runners.store.faults import MARKER
from runners.store.store import Store

PULLED = "pulled-"
"""Begins the name of a folder that a step is being copied into; `.tmp` ends it, as of a step that is no
result."""
BESIDE = (OUTCOME, "log.txt", "code.json", MARKER)
"""Files of a finished step that its outcome does not list."""


def merge(
    store: Store,
    step_id: StepId,
    outcome: Outcome,
    content_here: Callable[[StepId], Sha256 | None],
    bring: Callable[[str, Path], None],
) -> Checked:
    """Have a step that is finished elsewhere here, by one rename.

    Args:
        outcome: As it was written there.
        content_here: Digest of what a step of this store holds; None where it is not there.
        bring: Copies the file of the step that has this path in its folder, to a file. One of `BESIDE` may be
            missing.

    Raises:
        Damaged: it is not as it was written, or was made from other rows of an input than are here. Nothing
            was changed.
    """
    if not outcome.files:
        raise Damaged("an older version wrote it without digests, by which it could be checked")
    for name, content in outcome.inputs.items():
        if content_here(name) not in (None, content):
            raise Damaged(f"it was made from other rows of its input {name} than this store holds")
    aside = store.steps / f"{PULLED}{step_id}.tmp"
    shutil.rmtree(aside, ignore_errors=True)  # of one that was killed
    try:
        for name in (*outcome.files, *BESIDE):
            within = PurePosixPath(name)
            if within.is_absolute() or ".." in within.parts:
                raise Damaged(f"its outcome lists {name}, which lies outside its folder")
            (aside / within).parent.mkdir(parents=True, exist_ok=True)
            bring(name, aside / within)
            if (aside / within).exists() and (aside / within).stat().st_size:
                sync(aside / within)
        held = Checks().check(str(aside), step_id)
        if held is None:
            raise Damaged("it is being made again there")
        store.reopen(step_id)  # what a kill left of an attempt
        aside.rename(store.step_folder(step_id))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync(store.steps)
    return held
