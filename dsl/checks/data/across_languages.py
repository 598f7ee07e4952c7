"""Checks of a data set across its languages: each has rows of its own, and items that pair."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations

from dsl.checks.data.read import ReadRows
from dsl.checks.data.rows import first_ten
from dsl.checks.fault import Fault
from dsl.data.language_codes import bcp_47
from dsl.data.normalise import normalise
from dsl.data.records import Example
from dsl.data.selectors import language_in_file, language_selector, name_of
from dsl.data.source import Columns
from dsl.methods.parts import Dataset
from dsl.values import Language, Name

LARGE_SHARE = 0.1
"""Share of the texts of two languages from which on equal ones are told."""


def content_faults(name: Name, data: Dataset, read: Mapping[Language, ReadRows]) -> Iterator[Fault]:
    """Check that no two languages have the same rows, each of which would count as a language of its own.

    Two with a large share of the same texts are told: some may not be translated.
    """

    @cache
    def texts(language: Language) -> Mapping[str, str]:
        return _texts(read[language])

    shared: list[str] = []
    for one, other in combinations(read, 2):
        if data.columns.language is None and read[one].source == read[other].source:
            yield Fault(
                ("data", name, "rows"),
                f"`{one}` and `{other}` have the same rows: nothing in them depends on the language. Put"
                " `{language}` into the path, name the column `language`, or name the languages that they"
                f' are in, as `languages: ["{one}"]`',
            )
            return
        same = [item for text, item in texts(one).items() if text in texts(other)]
        n = min(len(texts(one)), len(texts(other)))
        if same and len(same) == n:
            yield Fault(
                ("data", name, "rows"),
                f"`{one}` and `{other}` have the same texts, so one of the two is not what it is called",
            )
            return
        if same and len(same) >= LARGE_SHARE * n:
            shared.append(f"`{one}` and `{other}` {len(same)} of {n} ({first_ten(same)})")
    if shared:
        why = f"the same texts in two languages, so that they are of one of the two: {first_ten(shared)}"
        yield Fault(("data", name, "rows"), f"{why}. Translate them, or leave their items out", "warning")


def _texts(read: ReadRows) -> Mapping[str, str]:
    """Questions with the turns before them, or what was preferred, where there is a word in them -> item."""
    texts = {
        "\n".join(
            map(normalise, [*(turn.content for turn in row.turns), row.instruction or row.chosen or ""])
        ): (row.item)
        for row in read.rows or ()
    }
    return {text: item for text, item in texts.items() if any(map(str.isalpha, text))}


def language_column_faults(
    name: Name, data: Dataset, languages: Sequence[Language], read: Mapping[Language, ReadRows]
) -> Iterator[Fault]:
    """Check that each language has rows, and tell which values of a language column nobody asks for.

    Args:
        languages: The study's.
    """
    at = ("data", name)
    for language, one in read.items():
        if one.rows is not None and not one.rows:
            yield Fault(at, no_rows(data.columns, language, one.languages, one.told))
    column = data.columns.language
    if column is None or not read:
        return
    claimed = {language_in_file(column, language) for language in languages}
    found = max((one.languages for one in read.values()), key=lambda counts: counts.total())
    rest = {value: n for value, n in found.items() if value not in claimed}
    codes = {bcp_47(language): language for language in languages}
    if same := {value: n for value, n in rest.items() if bcp_47(value) in codes}:
        called = ", ".join(dict.fromkeys(f"`{codes[bcp_47(value)]}`" for value in same))
        why = f"rows of {called} under a second code, which would be passed over: {_counts(same)}"
        yield Fault((*at, "columns", "language"), f"{why}. Give all rows of a language one code")
    elif rest:
        close = any(not value.strip() or _base(value) in map(_base, claimed) for value in rest)
        n_rows = f"rows of other languages, passed over: {sum(rest.values())} of {found.total()}"
        yield Fault(
            (*at, "columns", "language"), f"{n_rows} ({_counts(rest)})", "warning" if close else "note"
        )


def _base(code: str) -> str:
    """A code without its script and region, in lower case."""
    return re.split(r"[-_\s]", bcp_47(code.strip()).casefold())[0]


def no_rows(
    columns: Columns, language: Language, found: Mapping[str, int], told: Mapping[str, Sequence[str]]
) -> str:
    """Say that a language has no rows, and what the language column holds instead.

    Args:
        found: Value of the language column -> its rows.
        told: Notes on rows that were left out -> their items.
    """
    left_out = "".join(f": {len(items)} {note}" for note, items in told.items())
    none = f"no rows in `{language}`{left_out}"
    if columns.language is None or not found:
        return none
    name = name_of(language_selector(columns.language))
    called = language_in_file(columns.language, language)
    return (
        f"{none}: none is called `{called}` in `{name}`, which has {_counts(found)}. Say what it calls"
        f" each: `language: {{column: {name}, values: {{{language}: …}}}}`"
    )


def _counts(found: Mapping[str, int]) -> str:
    return first_ten(f"`{value}` {n}" for value, n in sorted(found.items(), key=lambda pair: -pair[1]))


def pairing_faults(
    name: Name, data: Dataset, asked: Sequence[Language], read: Mapping[Language, Sequence[Example]]
) -> Iterator[Fault]:
    """Check that items have ids to pair by, and that each language has those of the others."""
    if data.columns.item is None and len(asked) > 1:
        yield Fault(
            ("data", name, "columns"),
            "without `item`, rows of one number count as one question in all languages. Name the column of"
            " the question's id; or write `item: {row_number: true}` where the rows do stand in one order,"
            " `parallel: false` where they do not",
            "warning",
            on="key",
        )
    yield from pair_faults(name, {language: [row.item for row in rows] for language, rows in read.items()})


def pair_faults(name: Name, items: Mapping[Language, Sequence[str]]) -> Iterator[Fault]:
    """Check that every language of a data set has the items of the others."""
    part = ", and for ids that name their language the part that pairs, as `{column: id, pattern: '\\d+'}`"
    everywhere = dict.fromkeys(item for found in items.values() for item in found)
    shared = bool(items) and set[str].intersection(*map(set, items.values()))
    for language, found in items.items():
        has = set(found)
        if lacking := [item for item in everywhere if item not in has]:
            yield Fault(
                ("data", name, "columns", "item"),
                (
                    f"`{language}` lacks items that other languages have: {first_ten(lacking)}. Items pair"
                    " across languages by this column; for sets that differ from language to language write"
                    f" `parallel: false`{'' if shared else part}"
                ),
            )
