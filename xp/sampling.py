"""Draw a random sample of answers for people to label, blind to who gave them.

Items are drawn, each with all answers that it was given in a language: by every method, model and training
seed. So methods can be compared in pairs, and what people say of these items stands for all of them. The draw
is by hashes of the seed and of what is drawn: it is the same on every machine, and does not depend on the
order in which the warehouse holds its rows.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.data.records import Draw
from dsl.data.written_files import written_aside
from dsl.errors import ArgumentError, OutputError
from dsl.messages import suggest
from warehouse.connect import connect
from warehouse.statements import fetch

SHOWN = ("answer_id", "language", "instruction", "answer", "reference", "comment", "drawn")
"""The columns of a sample beside the scores, which annotators fill in; `drawn` is how the answer was."""

ASKED = "score"
"""The column of scores where no aspects are asked for."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,79}")
"""Form of the names of judges and aspects, as in a spec."""

_UNIT = ("dataset", "language", "item")
_UNSEEN = r"\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
_FORMULA = re.compile(rf"[{_UNSEEN}]*[=+\-@＝＋－＠]|[\t\r\n']")
"""Beginnings that a spreadsheet may take for a formula's; characters that are not seen do not count."""


@dataclass(frozen=True)
class Sample:
    """Answers for annotators."""

    answers: tuple[dict[str, Any], ...]
    """Rows of the view `answers_to_label`, in the order in which they are shown, and how each was `drawn`.
    Answers of equal text to one item are there once."""
    n_items: int
    """Items with an answer among them, in each language."""


def draw(warehouse: Path, experiment: str, n: int, seed: int = 0) -> Sample:
    """Draw `n` answers of a study: all answers to one random item after another, in each language as many
    items as in any other as far as it has them.

    Of the last item there may be room for some answers only: they are no random draw, and do not say so.

    Raises:
        ArgumentError: the warehouse has no such study, or no answer of it.
    """
    units: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in answers_of(warehouse, experiment):
        units.setdefault(tuple(row[name] for name in _UNIT), {})[row["answer_id"]] = row
    drawn: list[dict[str, Any]] = []
    for unit in in_turn(units, seed):
        answers = sorted(units[unit].values(), key=lambda row: _place(seed, "answer", row["answer_id"]))
        left = n - len(drawn)
        how: Draw | None = "random" if len(answers) <= left else None
        drawn += [row | {"drawn": how} for row in answers[:left]]
        if how is None:
            break
    return _sample(drawn, seed)


def draw_where_judges_disagree(warehouse: Path, experiment: str, n: int, seed: int = 0) -> Sample:
    """Draw the `n` answers of a study on which two of its judges disagree most.

    Raises:
        ArgumentError: the warehouse has no such study, no answer of it, or no two judges of one question who
            disagree.
    """
    answers = {row["answer_id"]: row for row in answers_of(warehouse, experiment)}
    with connect(warehouse, read_only=True) as connection:
        found = fetch(
            connection,
            "from disagreement_by_answer where experiment = ? and disagreement > 0",
            [experiment],
        )
    if not found:
        raise ArgumentError(
            f"`{experiment}` has no answer on which two judges of one question and one scale disagree. Leave"
            " out `--where-judges-disagree`"
        )
    found.sort(key=lambda row: (-row["disagreement"], _place(seed, "among", row["answer_id"])))
    return _sample([answers[row["answer_id"]] | {"drawn": "disagreement"} for row in found[:n]], seed)


def _sample(drawn: Iterable[dict[str, Any]], seed: int) -> Sample:
    shown = sorted(drawn, key=lambda row: _place(seed, "shown", row["answer_id"]))
    return Sample(tuple(shown), len({tuple(row[name] for name in _UNIT) for row in shown}))


def in_turn(units: Iterable[tuple[str, ...]], seed: int) -> list[tuple[str, ...]]:
    """Items as they are drawn: the first of each data set and language, the second of each, and so on.
    Languages have their items in one order."""
    turns: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, ...], tuple[int, str]] = {}
    for unit in sorted(units, key=lambda unit: _place(seed, "item", unit[0], unit[2])):
        dataset, language, _ = unit
        places[unit] = turns[dataset, language], _place(seed, "among", dataset, language)
        turns[dataset, language] += 1
    return sorted(places, key=lambda unit: places[unit])


def answers_of(warehouse: Path, experiment: str) -> list[dict[str, Any]]:
    """Every answer of a study that can be labelled.

    Raises:
        ArgumentError: the warehouse has no such study, or no answer of it.
    """
    with connect(warehouse, read_only=True) as connection:
        known = [
            row["experiment"]
            for row in fetch(connection, "select experiment from experiments order by experiment")
        ]
        if experiment not in known:
            raise ArgumentError(f"the warehouse has no study `{experiment}`. {suggest(experiment, known)}")
        rows = fetch(connection, "from answers_to_label where experiment = ?", [experiment])
    if not rows:
        raise ArgumentError(f"`{experiment}` has no answers yet. `xp apply` makes them")
    return rows


def write_sample(sample: Sample, aspects: Sequence[str], file: Path) -> None:
    """Write a CSV file that spreadsheets open as it is: UTF-8 with its mark, every cell quoted.

    Raises:
        ArgumentError: the file is there already: it may hold an annotator's work. Or an aspect cannot be the
            name of a column.
        OutputError: it cannot be written.
    """
    if wrong := [
        name for name in aspects if not NAME.fullmatch(name) or name in SHOWN or aspects.count(name) > 1
    ]:
        raise ArgumentError(
            f"`{wrong[0]}` cannot name a column of scores: it is no name, or another column has it"
        )
    has_reference = any(row["reference"] for row in sample.answers)
    before = [name for name in SHOWN[:-2] if has_reference or name != "reference"]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            raise ArgumentError(
                f"{file} is there already, and may hold somebody's labels. Name another file by --output"
            )
        with written_aside(file) as aside, aside.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.writer(out, quoting=csv.QUOTE_ALL)
            writer.writerow([*before, *(aspects or [ASKED]), *SHOWN[-2:]])
            for row in sample.answers:
                shown = row | {"answer": row["text"]}
                writer.writerow(
                    [
                        *(guarded(shown[name] or "") for name in before),
                        *("" for _ in aspects or [ASKED]),
                        *("", row.get("drawn") or ""),
                    ]
                )
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror or error}") from error


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before what begins like one."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` made the cell from."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def _place(seed: int, *words: str) -> str:
    return hashlib.sha256("\0".join((str(seed), *words)).encode()).hexdigest()
