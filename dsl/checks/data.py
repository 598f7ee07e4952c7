"""Checks of the data's rows: unique items, pairs across languages, enough to train on, recorded answers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.data.examples import examples
from dsl.data.files import Row, is_here, read_file
from dsl.data.records import Example
from dsl.data.selectors import text_at
from dsl.data.source import Columns, FileSource
from dsl.errors import DataError
from dsl.methods import Recorded
from dsl.methods.parts import Rows
from dsl.methods.tuning import TuningMethod
from dsl.plan.compile import languages_of, rows_in, source_of
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name


def data_faults(context: Context) -> Iterator[Fault]:
    """Read and check every file that the study asks or trains on. Data sets on the hub are read when their
    steps run."""
    e = context.experiment
    used = [dataset for method in e.methods.values() for _, dataset, _ in method.required_columns()]
    for name in dict.fromkeys(d for d in (*e.evaluate, *used) if d in e.data):
        if name in e.evaluate and e.data[name].columns.instruction is None:
            yield Fault(
                ("data", name, "columns"), "a data set that is asked needs the column `instruction`", on="key"
            )
        by_language: dict[Language, tuple[Example, ...]] = {}
        for language in languages_of(e, name):
            try:
                rows = _examples(context, name, language)
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
                yield from row_faults(name, language, rows)
        yield from _enough(e, name, {language: len(rows) for language, rows in by_language.items()})
        if name in e.evaluate and e.data[name].parallel:
            yield from pair_faults(
                name, {language: tuple(row.item for row in rows) for language, rows in by_language.items()}
            )


def _examples(context: Context, name: Name, language: Language) -> tuple[Example, ...] | None:
    data = context.experiment.data[name]
    source = source_of(rows_in(data.rows, language), context.fingerprints, context.folder, language)
    if not isinstance(source, FileSource) or not is_here(source):
        return None
    return tuple(examples(read_file(source), data.columns, language, data.limit, source.at))


def row_faults(name: Name, language: Language, rows: Sequence[Example]) -> Iterator[Fault]:
    """Check one language's rows of a data set, as soon as they can be read: of files when the spec is loaded,
    of the hub when they are there."""
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


def pair_faults(name: Name, items: Mapping[Language, Sequence[str]]) -> Iterator[Fault]:
    """Check that every language of a data set has the items of the others."""
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
            rows: tuple[Row, ...] = ()
            if isinstance(source, FileSource) and is_here(source):
                rows = tuple(islice(read_file(source), 1))
            elif isinstance(source, FileSource):
                later = f"{source.url} is fetched when the study is applied, and its columns are checked then"
                yield Fault(("methods", method, "answers"), later, "warning")
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


def _listed(items: list[str]) -> str:
    return ", ".join(items[:10]) + (f" and {len(items) - 10} more" if len(items) > 10 else "")
