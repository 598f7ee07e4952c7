"""`data`: one data set in one language, as examples."""

from collections import Counter
from pathlib import Path

from dsl.data.examples import Told, examples
from dsl.data.references import references, with_references
from dsl.data.source import FileSource, Source
from dsl.errors import DataError
from dsl.steps.steps import DataStep
from runners.prompting.source_rows import rows_of
from runners.store.step_io import RowWriter, StepContext, StepResult


def run(step: DataStep, context: StepContext, out: Path) -> StepResult:
    """Write `examples.jsonl`, one `Example` a line, in the source's order.

    Raises:
        DataError: the file is not the one that was planned, or an item occurs twice.
    """
    where = _named(step.source)
    read, commit = rows_of(step.source)
    told: Told = {}
    rows = list(examples(read, step.columns, step.language, step.limit, where, step.turn, told))
    if step.references is not None:
        from_file, _ = rows_of(step.references.source)
        at = _named(step.references.source)
        found = references(from_file, step.references, step.turn, at)
        rows = list(with_references(rows, found, at, step.limit is None))
    if doubles := [item for item, n in Counter(row.item for row in rows).items() if n > 1]:
        raise DataError(f"{where}: these items occur more than once: {', '.join(doubles[:10])}")
    if not rows:
        raise DataError(f"{where}: no rows in `{step.language}`")
    # from an earlier attempt: it costs nothing to make again
    (out / "examples.jsonl").unlink(missing_ok=True)
    with RowWriter(out / "examples.jsonl") as writer:
        for row in rows:
            writer.write(row)
    return StepResult(
        n_rows=len(rows), facts={"commit": commit, **{note: len(items) for note, items in told.items()}}
    )


def _named(source: Source) -> str:
    return source.path if isinstance(source, FileSource) else source.hub
