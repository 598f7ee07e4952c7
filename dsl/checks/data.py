"""Checks of the data's rows: unique items, pairs across languages, enough to train on, recorded answers."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.data.examples import Told, examples
from dsl.data.files import Row, read_file
from dsl.data.records import Example
from dsl.data.references import references, with_references
from dsl.data.selectors import text_at
from dsl.data.source import Columns, FileSource, HubSource
from dsl.errors import DataError
from dsl.methods import Recorded
from dsl.methods.parts import Rows
from dsl.methods.tuning import TuningMethod
from dsl.plan.compile import languages_of, references_of, rows_in, source_of
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name


def data_faults(context: Context) -> Iterator[Fault]:
    """Read and check every file that the study asks or trains on. Data sets on the hub are read when their
    steps run."""
    e = context.experiment
    used = [dataset for method in e.methods.values() for _, dataset, _ in method.required_columns()]
    for name in dict.fromkeys(d for d in (*e.evaluate, *used) if d in e.data):
        columns = e.data[name].columns
        if name in e.evaluate and (columns.instruction, columns.messages, columns.chosen, columns.turns) == (
            (None, None, None, ())
        ):
            yield Fault(
                ("data", name, "columns"), "a data set that is asked needs the column `instruction`", on="key"
            )
        by_language: dict[Language, tuple[Example, ...]] = {}
        for language in languages_of(e, name):
            told: Told = {}
            try:
                rows = _examples(context, name, language, told)
            except DataError as error:
                yield Fault(
                    (
                        ("data", name, "rows")
                        if isinstance(e.data[name].rows, Rows)
                        else ("data", name, "rows", language)
                    ),
                    str(error),
                )
                continue
            if rows is not None:
                by_language[language] = rows
                yield from _rows(name, language, rows)
                for note, items in told.items():
                    yield Fault(
                        ("data", name, "columns"),
                        f"in `{language}`: {_counted(note, items)}",
                        "warning",
                        "key",
                    )
        yield from _enough(e, name, {language: len(rows) for language, rows in by_language.items()})
        if name in e.evaluate and e.data[name].parallel:
            yield from _pairs(
                name, {language: tuple(row.item for row in rows) for language, rows in by_language.items()}
            )


def _examples(context: Context, name: Name, language: Language, told: Told) -> tuple[Example, ...] | None:
    """The rows of a file; of questions that are asked in turn, the first of each row."""
    data = context.experiment.data[name]
    source = source_of(rows_in(data.rows, language), context.fingerprints, context.folder, language)
    if not isinstance(source, FileSource):
        return None
    read = [
        tuple(examples(read_file(source), data.columns, language, data.limit, source.path, turn, told))
        for turn in data.columns.in_turn
    ]
    given = references_of(data, context.fingerprints, context.folder, language)
    if given is not None and isinstance(at := given.source, FileSource):
        whole = data.limit is None
        read = [
            tuple(with_references(rows, references(read_file(at), given, turn, at.path), at.path, whole))
            for rows, turn in zip(read, data.columns.in_turn, strict=True)
        ]
    first, *others = read
    if not all(others):
        raise DataError(
            f"{source.path}: no row has a question in each of the {len(data.columns.turns)} turns"
        )
    return first


def _rows(name: Name, language: Language, rows: tuple[Example, ...]) -> Iterator[Fault]:
    if not rows:
        yield Fault(("data", name), f"no rows in `{language}`")
    if doubles := [item for item, n in Counter(row.item for row in rows).items() if n > 1]:
        yield Fault(
            ("data", name, "columns", "item"),
            f"in `{language}` these items occur more than once: {_listed(doubles)}",
        )
    if empty := [row.item for row in rows if not row.instruction.strip()]:
        yield Fault(
            ("data", name, "columns", "instruction"),
            f"in `{language}` these items have an empty instruction: {_listed(empty)}",
        )


def _enough(e: Experiment, dataset: Name, found: dict[Language, int]) -> Iterator[Fault]:
    for name, method in e.methods.items():
        if (
            isinstance(method, TuningMethod)
            and method.rows is not None
            and dataset in (d for _, d, _ in method.required_columns())
        ):
            for language in e.languages:
                for tuned_on in method.variants(e.languages, language):
                    there = sum(found.get(one, 0) for one in tuned_on)
                    if found.keys() >= set(tuned_on) and there < method.rows:
                        yield Fault(
                            ("methods", name, "rows"),
                            f"`{dataset}` has {there} rows in {', '.join(tuned_on)}, not {method.rows}",
                        )


def _pairs(name: Name, items: dict[Language, tuple[str, ...]]) -> Iterator[Fault]:
    everywhere = dict.fromkeys(item for found in items.values() for item in found)
    for language, found in items.items():
        has = set(found)
        if lacking := [item for item in everywhere if item not in has]:
            yield Fault(
                ("data", name, "columns", "item"),
                (
                    f"`{language}` lacks items that other languages have: {_listed(lacking)}. Items pair"
                    " across languages by this column; for sets that differ from language to language write"
                    " `parallel: false`"
                ),
            )


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
    for name in ("item", "instruction", "input", "response") if columns.language is None else ("language",):
        if (selector := getattr(columns, name)) is not None:
            try:
                text_at(row, selector, 1, at)
            except DataError as error:
                yield Fault(("methods", method, "columns", name), str(error))


def _counted(note: str, items: list[str]) -> str:
    return f"{len(items)} {'row' if len(items) == 1 else 'rows'} {note} ({_listed(items)})"


def _listed(items: list[str]) -> str:
    return ", ".join(items[:10]) + (f" and {len(items) - 10} more" if len(items) > 10 else "")
