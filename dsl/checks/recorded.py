"""Checks of recorded answers and verdicts: each cell has a file with the named columns, and its rows
belong to items that are asked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dsl.checks.context import Context
from dsl.checks.data.read import ReadRows
from dsl.checks.fault import Fault
from dsl.checks.turns import why_unfit
from dsl.data.files import is_here, read_planned
from dsl.data.recorded_answers import NoColumn, RecordedAnswers, RecordedRow
from dsl.data.records import Example
from dsl.data.rows import Paths
from dsl.data.source import Columns, FileSource, HubSource
from dsl.data.sources import rows_of_cell, source_of
from dsl.errors import DataError
from dsl.judges.recorded import Settings as RecordedVerdicts
from dsl.messages import Path as SpecPath
from dsl.messages import listed, shorten, suggest
from dsl.methods import Recorded
from dsl.methods.base import CellRequest
from dsl.plan.building import names_of
from dsl.spec.experiment import ModelSide
from dsl.values import Language, Name

_Place = tuple[Name, Language, int | None]
"""Data set, language and turn of the items that verdicts are about."""

ENOUGH = 0.5
"""Share of the items asked that a file is expected to hold; below it, a warning says how many it holds."""
_SHOWN = 3
"""Keys and rows that a message shows."""


def recorded_faults(context: Context) -> Iterator[Fault]:
    """Check each cell's recorded answers: their file, its columns, and its rows against the items asked."""
    e = context.experiment
    read: dict[tuple[str, str, Language | None], RecordedAnswers] = {}
    first: dict[tuple[Name, str, str, Language | None], _Taken] = {}
    """Data set, file and columns -> the first cell that takes its answers."""
    told: set[frozenset[Name]] = set()
    for request, method in context.requests:
        recipe = e.methods[method]
        if not isinstance(recipe, Recorded):
            continue
        columns, at = recipe.columns.of_turn(request.turn), ("methods", method, "answers", "path")
        if why_unfit(recipe, len(e.data[request.dataset].columns.turns)):
            continue  # reported once
        yield from unknown_keys(context, at, recipe.answers.path)
        language = request.language if columns.language is not None else None
        examples = _asked(context, request.dataset, request.language, request.turn)
        try:
            here = rows_of_cell(recipe.answers, names_of(e, request, method))
            source = source_of(here, context.fingerprints, context.folder, request.language)
            if isinstance(source, HubSource) or not is_here(source):
                continue
            key = (source.model_dump_json(), columns.model_dump_json(), language)
            if key not in read:
                read[key] = RecordedAnswers(read_planned(source), columns, language)
                yield from _bad_rows(at, source, _expected(read[key], examples, request.turn))
            taken = _Taken(request, method)
            other = first.setdefault((request.dataset, *key), taken)
            yield from _same_answers(context, at, source, columns, other, taken, told)
        except NoColumn as error:
            named = next(
                name for name in Columns.model_fields if str(getattr(columns, name)) == error.selector
            )
            yield Fault(("methods", method, "columns", named), f"{recipe.answers.path}: {error}")
            continue
        except DataError as error:
            yield Fault(at, str(error))
            continue
        if examples:
            yield from _answers(at, source, read[key], request.dataset, request.language, examples)


def verdict_faults(
    context: Context, name: Name, cells: Iterable[tuple[CellRequest, RecordedVerdicts]]
) -> Iterator[Fault]:
    """Check the files of a judge's recorded verdicts against the items asked, over all cells that share one.

    `cells`: each with the judge's settings for it.
    """
    files: dict[str, tuple[RecordedVerdicts, dict[_Place, None]]] = {}
    for request, here in cells:
        places = files.setdefault(here.model_dump_json(), (here, {}))[1]
        places[request.dataset, request.language, request.turn] = None
    for here, places in files.values():
        if here.source is not None and is_here(here.source):
            yield from _verdicts(context, ("judges", name, "verdicts", "path"), here, tuple(places))


def unknown_keys(
    context: Context, at: SpecPath, path: Paths | Mapping[Name, Paths] | None
) -> Iterator[Fault]:
    """Check that a map of files has names of the study as its keys."""
    e = context.experiment
    known = (*e.models, *e.methods, *e.data, *e.languages)
    for key in path if isinstance(path, Mapping) else ():
        if key not in known:
            why = f"`{key}` is no model, method, data set or language of the study. {suggest(key, known)}"
            yield Fault((*at, key), why, on="key")


@dataclass(frozen=True)
class _Match:
    """Items asked beside the rows of a file."""

    file: str
    what: str
    asked_of: str
    n_asked: int
    n_matched: int
    lacking: list[str] = field(default_factory=list[str])
    """Keys of items without a row."""
    unasked: list[str] = field(default_factory=list[str])
    """Keys of rows without an item."""
    refused: list[int] = field(default_factory=list[int])
    """Numbers of rows with an item's key and another instruction."""

    def faults(self, at: SpecPath) -> Iterator[Fault]:
        refused = (
            f"{len(self.refused)} rows of {self.file} are refused, since they have the item of one question"
            f" and the text of another: row {_numbers(self.refused)}"
        )
        if self.n_matched >= ENOUGH * self.n_asked:
            if self.refused:
                yield Fault(at, refused, "warning")
            return
        n = f"only {self.n_matched}" if self.n_matched else "none"
        verb = "have" if self.n_matched > 1 else "has"
        said = f"{n} of {self.n_asked} items of {self.asked_of} {verb} a {self.what} in {self.file}"
        if self.refused:
            said += f". {refused}"
        if self.lacking:
            said += f". Items without a row: {_keys(self.lacking)}"
        if self.unasked:
            said += f". Rows without an item: {_keys(self.unasked)}"
        hint = ". `item` names the column with the data's ids, `instruction` the one with its questions"
        yield Fault(at, said + hint, "warning" if self.n_matched else "error")


class _Taken(NamedTuple):
    """A cell that takes a file's rows for its answers."""

    request: CellRequest
    method: Name


def _same_answers(
    context: Context,
    at: SpecPath,
    source: FileSource,
    columns: Columns,
    one: _Taken,
    two: _Taken,
    told: set[frozenset[Name]],
) -> Iterator[Fault]:
    """Report that the rows of one file are taken for the answers of two languages, models or methods.

    It is an error where these are compared, and where two languages have the same items. `told`: filled with
    the pairs of models and of methods that were reported.
    """
    said = f"the same answers of {_file(source.path)} are taken for"
    by_item_alone = columns.item is not None and columns.instruction is None
    languages = one.request.language, two.request.language
    if len({*languages}) > 1:
        if by_item_alone and context.experiment.data[one.request.dataset].parallel:
            yield Fault(
                at,
                f"{said} `{languages[0]}` and `{languages[1]}`, whose items have the same names. Put"
                " `{language}` into the path, or name the column `language`",
            )
        return
    models, methods = (one.request.model, two.request.model), (one.method, two.method)
    coordinate, names = ("model", models) if models[0] != models[1] else ("method", methods)
    pair = frozenset(names)
    if len(pair) == 1 or pair in told:
        return
    told.add(pair)
    compared = pair in _compared(context)
    yield Fault(
        at,
        f"{said} `{names[0]}` and `{names[1]}`{', which are compared' if compared else ''}. Put"
        f" `{{{coordinate}}}` into the path, or name the column that says whose they are: `where:"
        f' {{{coordinate}: "{{{coordinate}}}"}}`',
        "error" if compared else "warning",
    )


def _compared(context: Context) -> Iterator[frozenset[Name]]:
    """The pairs of models and of methods that a declared contrast, or the baseline, compares."""
    e = context.experiment
    for contrast in e.contrasts.values():
        sides = contrast.of, contrast.against
        yield frozenset(side.model if isinstance(side, ModelSide) else side for side in sides)
    if e.baseline is not None:
        yield from (frozenset({e.baseline, method}) for method in e.methods)


def _answers(
    at: SpecPath,
    source: FileSource,
    recorded: RecordedAnswers,
    dataset: Name,
    language: Language,
    examples: Iterable[Example],
) -> Iterator[Fault]:
    """Check a file's answers against the items of one data set in one language."""
    file, asked_of = _file(source.path), f"`{dataset}` in `{language}`"
    found = {one.item: recorded.of(one.item, one.instruction) for one in examples}
    keys = {one.item: recorded.key(one.item, one.instruction) for one in examples}
    if doubled := [item for item, one in found.items() if len(one.answers) > 1]:
        n = f"{len(doubled)} of {len(found)} items of {asked_of}"
        why = f"{n} have several answers that differ in {file}, and none is taken: {_keys(doubled)}"
        if len(doubled) < len(found):
            yield Fault(at, why, "warning")
        else:
            yield Fault(
                at,
                f"{why}. Name the column that says whose they are beside the path, as `where: {{model:"
                ' "{model}"}`',
            )
            return
    matched = [item for item, one in found.items() if one.rows]
    if matched and not any(one.answers for one in found.values()):
        why = found[matched[0]].rows[0].missing
        yield Fault(at, f"none of {len(found)} items of {asked_of} has an answer in {file}: {why}")
        return
    asked = set(keys.values())
    yield from _Match(
        file,
        "row",
        asked_of,
        n_asked=len(found),
        n_matched=len(matched),
        lacking=[keys[item] for item, one in found.items() if not one.rows and not one.refused],
        unasked=[key for key in recorded.keys if key not in asked],
        refused=[row.number for one in found.values() for row in one.refused],
    ).faults(at)


def _verdicts(
    context: Context, at: SpecPath, here: RecordedVerdicts, places: Sequence[_Place]
) -> Iterator[Fault]:
    """Check one file's verdicts against the items that they are about."""
    assert here.source is not None
    found, file = here.read(), _file(here.source.path)
    if found.unmatched:
        rows = f"{len(found.unmatched)} of {found.n_rows} rows of {file} do not say what they are about"
        yield Fault(at, f"{rows}: {_first(found.unmatched)}. They are left out", "warning")
    read = [one for rows in found.by_key.values() for one in rows]
    silent = {one.row: one.missing for one in read if one.missing}
    known = {one.aspect for one in read if not one.is_unread}
    unread = {one.aspect: one.missing for one in reversed(read) if one.aspect not in known}
    if here.columns.aspect is not None and read:
        there = list(dict.fromkeys(one.aspect for one in read))
        for aspect in here.verdict_aspects():
            if aspect not in there:
                why = f"no row of {file} has the aspect `{aspect}`. {suggest(aspect, there)}"
                yield Fault((*at[:-2], "aspects"), why)
    for aspect, why in unread.items():
        on = f" on `{aspect}`" if aspect else ""
        yield Fault(at, f"no verdict{on} of {found.n_rows} rows of {file} can be read: {why}")
    if silent and not unread:
        rows = f"{len(silent)} of {found.n_rows} rows of {file} give no verdict"
        yield Fault(at, f"{rows}: {_first(silent.values())}. These stay unscored", "warning")
    asked = [_asked(context, *place) for place in places]
    if None in asked:
        return
    keys = {
        here.columns.key(one): one
        for examples in asked
        for one in examples or ()
        if here.categories is None or one.category in here.categories
    }
    rows_of = {key: found.by_key.get(key, ()) for key in keys}
    refused = [row.row for key, one in keys.items() for row in rows_of[key] if not row.is_about(one)]
    yield from _Match(
        file,
        "verdict",
        " and ".join(dict.fromkeys(f"`{dataset}`" for dataset, _, _ in places)),
        n_asked=len(keys),
        n_matched=sum(any(row.is_about(one) for row in rows_of[key]) for key, one in keys.items()),
        lacking=[item for (_, item), rows in zip(keys, rows_of.values(), strict=True) if not rows],
        unasked=[item for language, item in found.by_key if (language, item) not in keys],
        refused=list(dict.fromkeys(refused)),
    ).faults(at)


def _expected(
    recorded: RecordedAnswers, examples: Iterable[Example] | None, turn: int | None
) -> Sequence[RecordedRow]:
    """Rows that should hold an answer: of a later turn those whose item has a question in it."""
    if examples is None or turn in (None, 1):
        return recorded.rows
    keys = {recorded.key(one.item, one.instruction) for one in examples}
    return [row for row in recorded.rows if row.key in keys]


def _bad_rows(at: SpecPath, source: FileSource, rows: Sequence[RecordedRow]) -> Iterator[Fault]:
    bad = [row.missing for row in rows if row.missing is not None]
    if bad:
        n = f"{len(bad)} of {len(rows)} rows of {_file(source.path)}"
        yield Fault(at, f"{n} give no answer: {_first(bad)}. These answers are missing", "warning")


def _numbers(rows: list[int]) -> str:
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return ", ".join(map(str, rows[:_SHOWN])) + more


def _asked(
    context: Context, dataset: Name, language: Language, turn: int | None
) -> tuple[Example, ...] | None:
    """A data set's examples; None where it lies on the hub, or cannot be read, which is reported of it."""
    read = context.data.get(dataset, {}).get(language)
    return read.of_turn(turn) if isinstance(read, ReadRows) else None


def _file(path: str) -> str:
    return Path(path).name


def _keys(keys: list[str]) -> str:
    return listed([shorten(key) for key in keys[:_SHOWN]])


def _first(reasons: Iterable[str]) -> str:
    every = list(reasons)
    return "; ".join(every[:_SHOWN]) + (f"; and {len(every) - _SHOWN} more" if len(every) > _SHOWN else "")
