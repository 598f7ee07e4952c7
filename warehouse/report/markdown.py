"""The report's answer and main tables as Markdown, which holds no HTML whatever the data say."""

import re

from dsl.messages import one_line
from warehouse.report.printed import Printed, printed
from warehouse.report.prose import spans
from warehouse.report.sections import sections
from warehouse.report.study import StudyRows
from warehouse.report.summary import summary

_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in r"\*_{}[]#|~!$"}
    | {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "&#96;", "@": "&#64;"}
)


def as_markdown(study: StudyRows) -> str:
    """Return the question, the answer, how far to trust it, and every main table with its caption."""
    said = summary(study)
    experiment = str(study.experiment["experiment"])
    parts = [
        f"# {escaped(study.experiment['question'])}",
        *map(prose, (*said.findings, *said.unsupported)),
        *([prose(" ".join(said.trust))] if said.trust else []),
        *([f"**Main caveat:** {prose(said.main_caveat)}"] if said.main_caveat else []),
    ]
    if said.reasons:
        parts += ["## Caveats", "\n".join(f"- {prose(sentence)}" for sentence in said.reasons)]
    for section in sections(study):
        found = [_table(one) for one in printed(experiment, section)]
        if section.says or found:
            parts += [f"## {escaped(section.heading)}", *map(prose, section.says), *found]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is written, in one line: no markup, no HTML, no link."""
    return _at_start(_escaped(one_line(text)))


def prose(text: str) -> str:
    """A sentence with names between backticks."""
    return _at_start(
        "".join(
            f"`{part}`" if is_name and "|" not in part else _escaped(part) for part, is_name in spans(text)
        )
    )


def _escaped(text: str) -> str:
    return re.sub(r"(?i)\b(www)\.", r"\1&#46;", text.translate(_ESCAPES).replace("://", "&#58;//"))


def _at_start(line: str) -> str:
    """The line, where a list or a heading would begin as it does."""
    return re.sub(r"^(\d+(?=[.)](?: |$))|(?=[-+=]))", r"\1\\", line)


def _table(one: Printed) -> str:
    columns = one.table.columns
    headings = dict(one.headings)
    lines = [
        [_cell(column.heading) for column in columns],
        ["--:" if column.is_number else ":--" for column in columns],
    ]
    for place, cells in enumerate(one.table.cells):
        if heading := headings.get(place):
            lines.append([prose(heading), *[""] * (len(columns) - 1)])
        lines.append([_cell(cell) for cell in cells])
    return f"{prose(one.caption)}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(text: str) -> str:
    return _escaped(one_line(text))
