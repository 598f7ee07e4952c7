"""Draw a stratified random sample of answers for people to label, blind to who gave them.

A stratum is a dataset, a language, a model, a method and what it was tuned on. All strata of a data set give
answers to the same items, so that methods and languages can be compared in pairs. The draw is by hashes of
the seed and of what is drawn: it is the same on every machine, and does not depend on the order in which the
warehouse holds its rows.
"""

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsl.errors import ArgumentError
from dsl.messages import suggest
from warehouse.connect import connect
from warehouse.query import fetch

SHOWN = ("answer_id", "language", "instruction", "answer", "reference", "comment")
"""The columns of a sample beside the scores, which annotators fill in."""

ASKED = "score"
"""The column of scores where no aspects are asked for."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,79}")
"""Form of the names of judges and aspects, as in a spec."""

_STRATUM = ("dataset", "language", "model", "method", "train_languages")
_UNSEEN = r"\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
_FORMULA = re.compile(rf"[{_UNSEEN}]*[=+\-@＝＋－＠]|[\t\r\n']")
"""Beginnings that a spreadsheet may take for a formula's; characters that are not seen do not count."""


@dataclass(frozen=True)
class Sample:
    """Answers for annotators."""

    answers: tuple[dict[str, Any], ...]
    """Rows of the view `answers_to_label`, in the order in which they are shown. Answers of equal text to one
    item are there once."""
    n_strata: int


def draw(warehouse: Path, experiment: str, n: int, seed: int = 0) -> Sample:
    """Draw `n` answers of a study, from each stratum as many as from any other as far as it has them.

    Raises:
        ArgumentError: the warehouse has no such study, or no answer of it.
    """
    rows = answers_of(warehouse, experiment)
    strata: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        strata[tuple(row[name] for name in _STRATUM)].append(row)
    order = sorted(strata, key=lambda stratum: _place(seed, "among", *stratum))
    left = {stratum: iter(_in_turn(strata[stratum], seed)) for stratum in order}
    drawn: dict[str, dict[str, Any]] = {}
    while left and len(drawn) < n:
        for stratum, rest in list(left.items()):
            row = next(rest, None)
            if row is None:
                del left[stratum]
            elif len(drawn) < n:
                # one that another stratum gave already is labelled for both
                drawn.setdefault(row["answer_id"], row)
    shown = sorted(drawn.values(), key=lambda row: _place(seed, "shown", row["answer_id"]))
    return Sample(tuple(shown), len(strata))


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
    """
    if wrong := [
        name for name in aspects if not NAME.fullmatch(name) or name in SHOWN or aspects.count(name) > 1
    ]:
        raise ArgumentError(
            f"`{wrong[0]}` cannot name a column of scores: it is no name, or another column has it"
        )
    has_reference = any(row["reference"] for row in sample.answers)
    before = [name for name in SHOWN[:-1] if has_reference or name != "reference"]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8-sig", newline="") as out:
            writer = csv.writer(out, quoting=csv.QUOTE_ALL)
            writer.writerow([*before, *(aspects or [ASKED]), SHOWN[-1]])
            for row in sample.answers:
                shown = row | {"answer": row["text"]}
                writer.writerow(
                    [*(guarded(shown[name] or "") for name in before), *("" for _ in aspects or [ASKED]), ""]
                )
    except FileExistsError:
        raise ArgumentError(
            f"{file} is there already, and may hold somebody's labels. Name another file by --output"
        ) from None
    except OSError as error:
        raise ArgumentError(f"{file}: {error.strerror or error}") from error


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before what begins like one."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text that `guarded` made the cell from."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def _in_turn(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """One stratum's answers as they are drawn: one to each item, in the same order of items everywhere, and
    then the items' further texts."""
    turns: Counter[str] = Counter()
    places: dict[str, tuple[int, str]] = {}
    for row in sorted(rows, key=lambda row: _place(seed, "text", row["answer_id"])):
        places[row["answer_id"]] = turns[row["item"]], _place(seed, "item", row["dataset"], row["item"])
        turns[row["item"]] += 1
    return sorted(rows, key=lambda row: places[row["answer_id"]])


def _place(seed: int, *words: str) -> str:
    return hashlib.sha256("\0".join((str(seed), *words)).encode()).hexdigest()
