"""`data`: one data set in one language, as examples."""

from collections import Counter
from pathlib import Path

from dsl.checks.data.rows import row_faults
from dsl.data.examples import examples
from dsl.data.source import FileSource
from dsl.errors import DataError
from dsl.steps.steps import DataStep
from runners.prompting.source_rows import rows_of
from runners.store.step_io import RowWriter, StepContext, StepResult


def run(step: DataStep, context: StepContext, out: Path) -> StepResult:
    """Write `examples.jsonl`, one `Example` a line, in the source's order.

    Raises:
        DataError: the file is not the one that was planned, or its rows have faults that the check of a spec
            would report of a file's.
    """
    where = step.source.path if isinstance(step.source, FileSource) else step.source.hub
    counted: Counter[str] = Counter()
    read, commit = rows_of(step.source, counted, context.report)
    rows = list(examples(read, step.columns, step.language, step.limit, where))
    found = row_faults("", step.language, rows, step.columns)
    faults = [fault.message for fault in found if fault.level == "error"]
    if not rows:
        faults = [f"no rows in `{step.language}`"]
    if faults:
        raise DataError(f"{where}: {'; '.join(faults)}")
    # from an earlier attempt: it costs nothing to make again
    (out / "examples.jsonl").unlink(missing_ok=True)
    with RowWriter(out / "examples.jsonl") as writer:
        for row in rows:
            writer.write(row)
    of_where = {f"rows_{name}": n for name, n in counted.items()}
    return StepResult(n_rows=len(rows), facts={"commit": commit} | of_where)
