"""Checks of the data sets that a study asks, learns from or shows."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.data.across_languages import content_faults, language_column_faults, pairing_faults
from dsl.checks.data.overlap import overlap_faults
from dsl.checks.data.read import ReadRows
from dsl.checks.data.role_orders import role_order_faults
from dsl.checks.data.rows import first_ten, row_faults
from dsl.checks.fault import Fault
from dsl.data.rows import Rows
from dsl.errors import DataError
from dsl.methods.tuning import TuningMethod
from dsl.values import Language, Name


def data_faults(context: Context) -> Iterator[Fault]:
    """Check every file that is read. Data sets on the hub are read when their steps run."""
    e = context.experiment
    for name, languages in context.data.items():
        data, asked = e.data[name], context.needs.asked.get(name, ())
        asks = (data.columns.instruction, data.columns.messages, data.columns.chosen)
        if asked and not data.columns.turns and all(column is None for column in asks):
            yield Fault(
                ("data", name, "columns"),
                "a data set that is asked needs the column `instruction`, `messages` or `turns`",
                on="key",
            )
        read = {language: one for language, one in languages.items() if isinstance(one, ReadRows)}
        for language, error in languages.items():
            if isinstance(error, DataError):
                per_language = () if isinstance(data.rows, Rows) else (language,)
                yield Fault(("data", name, "rows", *per_language), str(error))
        rows = {language: one.rows for language, one in read.items() if one.rows is not None}
        for language, found in rows.items():
            yield from row_faults(name, language, found, data.columns, language in asked)
            for note, items in read[language].told.items():
                count = f"{len(items)} {'row' if len(items) == 1 else 'rows'}"
                why = f"in `{language}`: {count} {note} ({first_ten(items)})"
                yield Fault(("data", name, "columns"), why, "warning", "key")
        yield from language_column_faults(name, data, e.languages, read)
        yield from content_faults(name, data, read)
        yield from _enough(context, name, {language: len(found) for language, found in rows.items()})
        if data.parallel:
            yield from pairing_faults(name, data, asked, {one: rows[one] for one in asked if one in rows})
    yield from role_order_faults(context)
    yield from overlap_faults(context)


def _enough(context: Context, dataset: Name, found: dict[Language, int]) -> Iterator[Fault]:
    e = context.experiment
    for name, method in e.methods.items():
        wanted = context.needs.used.get(name, {}).get(dataset)
        if (
            isinstance(method, TuningMethod)
            and method.rows is not None
            and wanted
            and dataset != method.validation
        ):
            each = method.train_languages == "each"
            for tuned_on in [(one,) for one in wanted] if each else [wanted]:
                there = sum(found.get(one, 0) for one in tuned_on)
                if found.keys() >= set(tuned_on) and there < method.rows:
                    yield Fault(
                        ("methods", name, "rows"),
                        f"`{dataset}` has {there} rows in {', '.join(tuned_on)}, not {method.rows}",
                    )
