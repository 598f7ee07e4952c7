"""The report's main tables as LaTeX with booktabs and siunitx, to be read into a paper by `\\input`."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from dsl.messages import one_line
from warehouse.report.printed import Printed, printed
from warehouse.report.prose import spans
from warehouse.report.sections import sections
from warehouse.report.study import StudyRows
from warehouse.report.tables import Column

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "–": r"\textendash{}",
    "−": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "←": r"$\leftarrow$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    "†": r"\textdagger{}",
    "α": r"$\alpha$",
    "κ": r"$\kappa$",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
}
"""Characters that are commands to LaTeX, or missing from its default font."""

_ESCAPES = str.maketrans(_SPECIAL)
_LIGATURES = re.compile(r"([-',])(?=\1)")
"""Characters of which two in a row become another one."""

_NUMBER = re.compile(r"(–|−?[0-9][0-9,]*(?:\.[0-9]+)?)((?:%| ).*)?")
"""A number or a dash at the beginning of a cell, and what follows it."""

SHORTEST_HEADING = 10
"""Characters in a line of a heading, though its cells be shorter."""

_HEAD = r"""% Tables of the study {experiment}.
% In the preamble: \usepackage[T1]{{fontenc}} \usepackage{{textcomp}} \usepackage{{booktabs}}
% \usepackage{{siunitx}} \usepackage{{graphicx}}
% The charts lie beside this file, each as PDF for \includegraphics and as SVG.
% Text of other scripts than the Latin one needs LuaLaTeX or XeLaTeX and a font that has it.
"""


_NOTE = r"""
% {comment}
\noindent\textbf{{{text}}}\par
"""


def as_latex(study: StudyRows, note: str = "") -> str:
    """Return every main table as a `table` environment with a caption and a label.

    The label is `tab:<experiment>-<figure>`; a note comes first if there is one.
    """
    experiment = str(study.experiment["experiment"])
    parts = [latex_table(one) for section in sections(study) for one in printed(experiment, section)]
    head = _HEAD.format(experiment=re.sub(r"[^A-Za-z0-9_.-]", "-", experiment))
    noted = _NOTE.format(comment=one_line(note), text=prose(note)) if note else ""
    return head + noted + "".join(f"\n{part}" for part in parts)


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is written, in one line."""
    return _escaped(one_line(text))


def prose(text: str) -> str:
    """A sentence with names between backticks."""
    return "".join(
        rf"\texttt{{{_escaped(part)}}}" if is_name else _escaped(part) for part, is_name in spans(text)
    )


def _escaped(text: str) -> str:
    return _LIGATURES.sub(r"\1{}", text.translate(_ESCAPES))


def latex_table(one: Printed) -> str:
    """One `table` environment, whose numbers stand with their points under each other.

    A table that is wider than the page's text is scaled to its width.
    """
    table = one.table
    columns = [
        (_numbers if column.is_number else _texts)(column, [cells[place] for cells in table.cells])
        for place, column in enumerate(table.columns)
    ]
    headings, width = dict(one.headings), sum(column.width for column in columns)
    rows: list[str] = []
    for place, cells in enumerate(table.cells):
        if heading := headings.get(place):
            rows += [r"\midrule"] * (place > 0)
            rows.append(rf"\multicolumn{{{width}}}{{l}}{{{prose(heading)}}} \\")
        rows.append(_line([column.set(one_line(cell)) for column, cell in zip(columns, cells, strict=True)]))
    lines = [
        r"\begin{table}[htbp]",
        r"\setlength{\belowcaptionskip}{4pt}\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{prose(one.caption)}}}",
        rf"\label{{tab:{one.label}}}",
        rf"\sbox0{{\begin{{tabular}}{{{''.join(column.form for column in columns)}}}",
        r"\toprule",
        _line([column.heading for column in columns]),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}}%",
        r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a report's table as one or two of LaTeX's."""

    form: str
    heading: str
    width: int
    is_number: bool

    def set(self, cell: str) -> str:
        """The cell as LaTeX: of a number, siunitx's, and what follows it, as its interval."""
        if not self.is_number:
            return _escaped(cell)
        found = _NUMBER.fullmatch(cell)
        number, rest = found.groups("") if found else (cell, "")
        is_aligned = found is not None and number != "–"
        written = _digits(number) if is_aligned else f"{{{_escaped(number)}}}"
        if self.width == 1:
            return written
        space = r"\ " if rest.startswith(" ") else ""
        return f"{written} & {space}{_escaped(rest.strip())}"


def _texts(column: Column, cells: Sequence[str]) -> _Column:
    return _Column("l", _heading(column, cells, "l"), 1, is_number=False)


def _numbers(column: Column, cells: Sequence[str]) -> _Column:
    """Return a column aligned at the decimal point, with a second one for what follows the numbers."""
    found = [match.groups("") for match in map(_NUMBER.fullmatch, map(one_line, cells)) if match]
    numbers = [_digits(number) for number, _ in found if number != "–"]
    parts = [number.lstrip("-").partition(".") for number in numbers]
    sign = "-" if any(number.startswith("-") for number in numbers) else ""
    whole = max((len(before) for before, _, _ in parts), default=1)
    decimals = max((len(after) for _, _, after in parts), default=0)
    grouped = (
        ",group-separator={,},group-minimum-digits=4" if any("," in number for number, _ in found) else ""
    )
    form = f"S[table-format={sign}{whole}{f'.{decimals}' if decimals else ''}{grouped}]"
    heading = _heading(column, cells, "c")
    if any(rest.strip() for _, rest in found):
        return _Column(form + "@{}l", rf"\multicolumn{{2}}{{c}}{{{heading}}}", 2, is_number=True)
    return _Column(form, f"{{{heading}}}", 1, is_number=True)


def _heading(column: Column, cells: Sequence[str], side: str) -> str:
    """The heading in lines that are hardly wider than the cells; what stands in brackets is not broken."""
    whole = re.sub(r"\[.*?\]", lambda brackets: brackets[0].replace(" ", "\0"), one_line(column.heading))
    width = max([SHORTEST_HEADING, *map(len, cells)])
    broken = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
    lines = [_escaped(line.replace("\0", " ")) for line in broken]
    if len(lines) < 2:
        return "".join(lines)
    # The braces after \\: a bracket there would be read as its argument.
    return rf"\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}" + r"\\{}".join(lines) + r"\end{tabular}"


def _digits(number: str) -> str:
    """A number as siunitx reads it."""
    return number.replace("−", "-").replace(",", "")


def _line(cells: list[str]) -> str:
    # After \\ of the row before, these would be read as its arguments.
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"
