"""Checks of recorded answers: each cell has a file, with the columns that are named."""

from collections.abc import Iterator
from itertools import islice

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.data.files import Row, read_file
from dsl.data.selectors import language_at, text_at
from dsl.data.source import Columns, HubSource
from dsl.errors import DataError
from dsl.methods import Recorded
from dsl.plan.compile import source_of
from dsl.values import Name


def recorded_faults(context: Context) -> Iterator[Fault]:
    """Check that each cell's recorded answers have a file, with the columns that are named."""
    e = context.experiment
    for model, method, language in context.cells:
        recipe = e.methods[method]
        if not isinstance(recipe, Recorded):
            continue
        if recipe.columns.response is None or (
            recipe.columns.item is None and recipe.columns.instruction is None
        ):
            yield Fault(
                ("methods", method, "columns"),
                "recorded answers need the columns `response` and one of `item` and `instruction`",
                on="key",
            )
            continue
        try:
            recorded = e.models[model].recorded or model
            source = source_of(recipe.answers, context.fingerprints, context.folder, language, recorded)
            rows = () if isinstance(source, HubSource) else tuple(islice(read_file(source), 1))
        except DataError as error:
            yield Fault(("methods", method, "answers", "path"), str(error))
            continue
        for row in rows:
            yield from _columns(method, recipe.columns, row, f"{recipe.answers.path}: row 1")


def _columns(method: Name, columns: Columns, row: Row, at: str) -> Iterator[Fault]:
    """Check that the first row has the columns that are named; of a file of several languages, the
    language's alone."""
    if columns.language is not None:
        try:
            language_at(row, columns.language, 1, at)
        except DataError as error:
            yield Fault(("methods", method, "columns", "language"), str(error))
        return
    for name in ("item", "instruction", "input", "response"):
        if (selector := getattr(columns, name)) is not None:
            try:
                text_at(row, selector, 1, at)
            except DataError as error:
                yield Fault(("methods", method, "columns", name), str(error))
