"""Shards of a large generate step: slices of its examples, each an attempt of its own on any node.

    <step_id>.tmp/shards/<start>-<stop>.tmp/   at work: as an unfinished step's folder, lock and whole rows
    included <step_id>.tmp/shards/<start>-<stop>/       finished: rows and `outcome.json`

Rows are values, so they are put together by copying them. The shards of a killed attempt stay: whoever makes
the step next, in shards of any size or in one piece, reuses their rows.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from dsl.data.records import Outcome
from dsl.engines.contract import EngineSettings
from dsl.engines.openai import Settings as Served
from dsl.steps.steps import GenerateStep, Step
from dsl.values import StepId
from runners.store.store import Store

ROWS = 256
"""Rows of a shard where the spec does not say: some batches, so that what each shard begins with (its
prompts' prefix) is a small part."""

_FOLDER = "shards"


def parts_of(step: Step, store: Store, shard_rows: int | None) -> tuple[range, ...]:
    """The slices of a step's examples, which must be there; none where the step is one piece.

    Without `shard_rows`, a step is split only if it loads its model: one server asked by many shards would be
    asked more at once than the spec allows.
    """
    if not isinstance(step, GenerateStep) or not (shard_rows or step.affinity):
        return ()
    if step.items or step.slices or _waits(step.model):  # which is small, or asks nothing here
        return ()
    with (store.step_folder(step.examples) / "examples.jsonl").open("rb") as lines:
        n_rows = sum(1 for _ in lines)
    size = shard_rows or ROWS
    parts = tuple(range(start, min(start + size, n_rows)) for start in range(0, n_rows, size))
    return parts if len(parts) > 1 else ()


def _waits(model: EngineSettings) -> bool:
    """Check if a model's answers come from a provider's batches, which a step in one piece comes back for."""
    return isinstance(model, Served) and model.batch


def place_of(store: Store, step_id: StepId) -> Store:
    """The store seen so that a step's shards are its steps."""
    place = Store(store.root)
    place.steps = store.unfinished_folder(step_id) / _FOLDER
    return place


def name_of(part: range) -> str:
    """Return a shard's name among those of its step."""
    return f"{part.start:08}-{part.stop:08}"


def earlier(store: Store, step_id: StepId, part: range | None) -> tuple[Path, ...]:
    """Return the folders with rows of other attempts at a step, or at a part of it that overlaps `part`."""
    found = {
        folder: range(*map(int, folder.stem.split("-")))
        for folder in sorted(place_of(store, step_id).steps.glob("*-*"))
    }
    if part is None:
        return tuple(found)
    others = (
        folder
        for folder, other in found.items()
        if other != part and other.start < part.stop and part.start < other.stop
    )
    return (store.unfinished_folder(step_id), *others)


def drop(folder: Path) -> None:
    """Remove the shards from a step's folder that has all of their rows."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)


def combine(
    step_id: StepId, step: Step, store: Store, parts: Sequence[range], outcomes: Sequence[Outcome]
) -> Outcome:
    """Finish a step whose shards are finished: their rows and logs in one file each, in the order of `parts`.

    Its seconds are those of all shards together, its facts those that they agree on.

    Raises:
        StoreLocked: another process is at work on the step.
        OSError: it cannot be written.
    """
    place = place_of(store, step_id)
    with store.begin(step_id, step) as folder:
        for file in ("completions.jsonl", "log.txt"):
            aside = folder / f"{file}.aside"
            with aside.open("wb") as whole:
                for part in parts:
                    with (place.step_folder(name_of(part)) / file).open("rb") as some:
                        shutil.copyfileobj(some, whole)
            aside.replace(folder / file)
        outcome = Outcome(
            step_id=step_id,
            seconds=sum(o.seconds for o in outcomes),
            n_rows=sum(o.n_rows for o in outcomes),
            n_reused=sum(o.n_reused for o in outcomes),
            n_open=sum(o.n_open for o in outcomes),
            n_of_other_code=sum(o.n_of_other_code for o in outcomes),
            code=outcomes[0].code,
            peak_memory_bytes=max((o.peak_memory_bytes or 0 for o in outcomes), default=0) or None,
            start_seconds=sum(o.start_seconds for o in outcomes),
            load_seconds=sum(o.load_seconds for o in outcomes),
            versions=outcomes[0].versions,
            facts={
                **{
                    key: fact
                    for key, fact in outcomes[0].facts.items()
                    if all(o.facts.get(key) == fact for o in outcomes)
                },
                "n_shards": len(parts),
            },
            inputs=outcomes[0].inputs,
        )
        drop(folder)
        return store.finish(step_id, outcome)


def show_log(step_id: StepId, store: Store, part: range) -> None:
    """Put the log of a shard that failed where a step's log is looked for."""
    log = place_of(store, step_id).unfinished_folder(name_of(part)) / "log.txt"
    if log.exists():
        shutil.copyfile(log, store.unfinished_folder(step_id) / "log.txt")
