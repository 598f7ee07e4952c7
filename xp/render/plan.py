"""A plan as one screen of text: methods by languages for each model, and why each is to be made."""

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from dsl.messages import one_line
from dsl.plan.contrasts import nothing_compared
from dsl.plan.diff import Diff
from xp.plan.lines import STATES, Line, State
from xp.plan.overview import Overview
from xp.plan.rows import Rows, total
from xp.power import Detectable, few_training_seeds
from xp.render.power import power_in_short
from xp.render.words import counted, listed

MARKS: Mapping[State, str] = {"new": "+", "changed": "~", "unfinished": "!", "reused": "=", "orphaned": "-"}

MOST_LINES = 44
"""Lines of the table; the rest is counted."""

MOST_LANGUAGES = 36
"""Characters that columns of languages may take; beyond, their cells are counted in one column."""

MOST_SENTENCES = 3
"""Warnings, and things to load, that are shown; the rest is counted."""

MOST_CHANGES = 6
"""Changes since the study was applied last that are shown; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table, right-aligned."""

    title: str
    text: Callable[[Sequence[Line]], str]
    """Its text for some lines together: one, or all of them. A column that is empty for all is left out."""


COLUMNS = (
    Column("training", lambda lines: rows_in_short(total(line.trainings for line in lines))),
    Column("answers", lambda lines: rows_in_short(total(line.answers for line in lines))),
    Column("verdicts", lambda lines: rows_in_short(total(line.verdicts for line in lines))),
)


def plan_as_text(
    overview: Overview,
    power: Sequence[Detectable] = (),
    columns: Sequence[Column] = COLUMNS,
    estimated: Sequence[str] = (),
    width: int | None = None,
    wide: Sequence[Column] | None = None,
) -> str:
    """One screen: counts, the table of lines, and what a reader must know before it is applied.

    Args:
        wide: Columns to have instead where they fit into the width.
        estimated: Sentences on what it takes, which stand below the table.
        width: Cells of a line of the terminal, at which sentences are broken; None breaks none.
    """
    diff = overview.diff
    question, counts = head_of(diff, width)
    table = _table(overview, wide or columns, width)
    if width is not None and any(cell_len(line) > width for line in table):
        table = _table(overview, columns, width)
    lines = [question, *_wrapped(counts, width), *table]
    lines += [*_wrapped(_legend(overview), width), ""]
    for sentence in (*_why(overview), *estimated, *_sentences(overview, power)):
        lines += _wrapped(one_line(sentence), width)
    return "\n".join(lines)


def _wrapped(sentence: str, width: int | None) -> list[str]:
    """Break a sentence at spaces alone: names, options and paths stay whole to be copied."""
    if width is None:
        return [sentence]
    return textwrap.wrap(
        sentence, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def head_of(diff: Diff, width: int | None = None) -> list[str]:
    """The study's name and question, and what is counted of it; with targets, of the steps that they name
    and need."""
    study, steps = diff.plan.study, diff.asked
    question = f"{study.experiment}" + (f": {one_line(study.question)}" if study.question else "")
    n_done = len(diff.done & steps.keys())
    named = "" if diff.wanted is None else f" of {len(diff.plan.steps)}, named by --target"
    return [
        question
        if width is None or cell_len(question) <= width
        else f"{set_cell_size(question, width - 1)}…",
        (
            f"{counted(len(study.cells), 'cell')}, {counted(len(steps), 'step')}{named}:"
            f" {n_done} done, {len(diff.todo)} to run"
        ),
    ]


def rows_in_short(rows: Rows) -> str:
    """Rows to make, of all; empty where there are none."""
    if rows.n == 0:
        return ""
    if rows.n is None or rows.n_made is None:
        return "?"
    return f"{'≤' if rows.is_most and rows.n_made else ''}{rows.n_made}/{rows.n}"


def _table(overview: Overview, columns: Sequence[Column], width: int | None) -> list[str]:
    lines = overview.lines
    shown = [column for column in columns if column.text(lines)]
    languages = list(dict.fromkeys(language for line in lines for language in line.languages))
    are_columns = sum(len(language) + 2 for language in languages) <= MOST_LANGUAGES
    heads = [*(languages if are_columns else ["cells"]), *(column.title for column in shown)]
    models = list(dict.fromkeys(line.model for line in lines if line.model is not None))
    one = models[0] if len(models) == 1 else None
    places: list[Line | str] = []
    before = one
    for line in lines:
        if line.model is not None and line.model != before:
            places.append(line.model)
            before = line.model
        places.append(line)
    rows: list[list[str]] = [[one or "", *heads]]
    for place in places[: MOST_LINES - 1]:
        if isinstance(place, str):
            rows.append([place])
            continue
        states = [_states(place.languages.get(language, {})) for language in languages]
        rows.append(
            [
                f"  {place.method}",
                *(states if are_columns else [_counts(place)]),
                *(column.text([place]) for column in shown),
            ]
        )
    last = ["total", *([""] * len(languages) if are_columns else [""]), *(c.text(lines) for c in shown)]
    if rest := len(places) + 1 - len(rows):
        rows.append([f"  … and {counted(rest, 'more line')}: `xp plan --json` lists all"])
    return _aligned([*rows, last], width)


def _aligned(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The first column to the left, the others to the right, closer where the table is wider than a terminal;
    a row of one cell takes its width."""
    n_columns = max(len(row) for row in rows)
    widths = [max(cell_len(row[i]) for row in rows if len(row) == n_columns) for i in range(n_columns)]
    gap = "  " if width is None or sum(widths) + 2 * (n_columns - 1) <= width else " "
    lines: list[str] = []
    for row in rows:
        cells = [f"{' ' * (width - cell_len(cell))}{cell}" for cell, width in zip(row, widths, strict=False)]
        first = row[0] + " " * (widths[0] - cell_len(row[0]))
        lines.append(gap.join([first, *cells[1:]]).rstrip())
    return lines


def _states(found: Mapping[State, int]) -> str:
    """The mark of a language's cells; where they differ, each with its number."""
    marks = [(MARKS[state], found[state]) for state in STATES if found.get(state)]
    return marks[0][0] if len(marks) == 1 else "".join(f"{mark}{n}" for mark, n in marks)


def _counts(line: Line) -> str:
    found: Counter[State] = Counter()
    for states in line.languages.values():
        found.update(states)
    return " ".join(f"{MARKS[state]}{found[state]}" for state in STATES if found[state])


def _legend(overview: Overview) -> str:
    """The marks that occur, and how rows are counted."""
    lines = overview.lines
    there = {state for line in lines for found in line.languages.values() for state in found if found[state]}
    marks = "  ".join(f"{MARKS[state]} {state}" for state in STATES if state in there)
    rows = [total(one) for one in ([x.answers for x in lines], [x.verdicts for x in lines])]
    most = "; ≤ at most: equal rows are reused" if any(r.is_most and r.n_made for r in rows) else ""
    unread = "; ? not read yet" if any(r.n is None for r in rows) else ""
    return f"{marks}   rows: to make/in all{most}{unread}"


def _why(overview: Overview) -> Iterator[str]:
    """Changes since the study was applied last, and steps that are run again for another reason."""
    diff, changes = overview.diff, list(overview.causes.items())
    cells = diff.plan.study.cells
    methods = {cell.method for cell in cells}
    for change, changed in changes[:MOST_CHANGES]:
        names = list(dict.fromkeys(cell.method for cell in changed))
        whose = (
            ""
            if change.what.startswith(f"methods.{names[0]}.") and not names[1:]
            else (f" ({listed(names, len(methods), 'method')})")
        )
        yield f"{MARKS['changed']} {change}{whose}"
    if len(changes) > MOST_CHANGES:
        more = counted(len(changes) - MOST_CHANGES, "more change")
        yield f"{MARKS['changed']} and {more}: xp plan --json lists all"
    again = Counter(
        diff.why(step_id) for step_id in diff.todo if step_id in diff.faults or step_id in diff.left_open
    )
    yield from (f"{MARKS['unfinished']} {counted(n, 'step')}: {why}" for why, n in again.items())


def _sentences(overview: Overview, power: Sequence[Detectable]) -> Iterator[str]:
    diff = overview.diff
    study = diff.plan.study
    yield from _first(diff.warnings)
    loads = [line for line in diff.reach if re.match(r"(loads|fetches) ", line)]
    yield from (line for line in diff.reach if line not in loads)
    yield from _first(loads)
    yield from (f"chosen: {line}" for line in diff.chosen)
    yield from _compared(overview)
    yield from power_in_short(power)
    if (few := few_training_seeds(study)) is not None:
        yield few
    if not diff.todo:
        yield "Nothing to run: every step has its result."
    more = [
        *([counted(len(diff.warnings), "warning")] if len(diff.warnings) > MOST_SENTENCES else []),
        *([f"{len(loads)} to load"] if len(loads) > MOST_SENTENCES else []),
        *([counted(len(study.notes), "note")] if study.notes else []),
    ]
    listing = f"xp validate ({', '.join(more)}), " if more else ""
    yield f"More: {listing}--steps, --explain STEP"


def _first(lines: Sequence[str]) -> Sequence[str]:
    """All of a few lines; the first of many, the rest of which is counted."""
    return lines if len(lines) <= MOST_SENTENCES else lines[: MOST_SENTENCES - 1]


def _compared(overview: Overview) -> Iterator[str]:
    """The confirmatory contrasts, or what to add where nothing is compared."""
    study = overview.diff.plan.study
    if (hint := nothing_compared(study)) is not None:
        yield hint
    by_judges: dict[tuple[str, ...], list[str]] = {}
    for contrast in study.contrasts:
        if contrast.is_declared and contrast.on:
            by_judges.setdefault(contrast.on, []).append(contrast.name)
    on = [f"{listed(names)} on {', '.join(judges)}" for judges, names in by_judges.items()]
    if on:
        yield f"Confirmatory: {'; '.join(on)}"
