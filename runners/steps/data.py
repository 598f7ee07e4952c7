"""`data`: one data set in one language, as examples."""

from collections import Counter
from pathlib import Path

from dsl.checks.data.across_languages import no_rows
from dsl.checks.data.rows import row_faults
from dsl.data.examples import Reader, examples
from dsl.data.references import references, with_references
from dsl.data.selectors import language_in_file
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
    where = step.source.at
    counted: Counter[str] = Counter()
    read, commit = rows_of(step.source, counted, context.report)
    reader = Reader(step.columns, step.language, step.limit, where, step.turn)
    rows = list(examples(read, reader))
    if (given := step.references) is not None:
        from_file, _ = rows_of(given.source, Counter(), context.report)
        by_item = references(from_file, given, step.turn, given.source.at)
        rows = list(with_references(rows, by_item, given.source.at, step.limit is None))
    found = list(row_faults("", step.language, rows, step.columns))
    faults = [fault.message for fault in found if fault.level == "error"]
    if not rows:
        faults = [no_rows(step.columns, step.language, reader.languages, reader.told)]
    if faults:
        raise DataError(f"{where}: {'; '.join(faults)}")
    # from an earlier attempt: it costs nothing to make again
    (out / "examples.jsonl").unlink(missing_ok=True)
    with RowWriter(out / "examples.jsonl") as writer:
        for row in rows:
            writer.write(row)
    facts = {f"rows_{name}": n for name, n in counted.items()}
    if step.columns.language is not None:
        called = language_in_file(step.columns.language, step.language)
        facts["rows_of_other_languages"] = reader.languages.total() - reader.languages[called]
    facts |= {note: len(items) for note, items in reader.told.items()}
    facts |= {fault.message: True for fault in found if fault.level != "error"}
    return StepResult(n_rows=len(rows), facts={"commit": commit} | facts)
