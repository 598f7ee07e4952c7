"""The report's main tables as LaTeX with booktabs, to be read into a paper by `\\input`."""

import re

from dsl.messages import one_line
from warehouse.report.printed import printed
from warehouse.report.prose import spans
from warehouse.report.sections import sections
from warehouse.report.study import StudyRows
from warehouse.report.tables import Table

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
    "α": r"$\alpha$",
    "κ": r"$\kappa$",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
}
"""Characters that are commands to LaTeX, or missing from its default font."""

_ESCAPES = str.maketrans(_SPECIAL)
_LIGATURES = re.compile(r"([-',])(?=\1)")
"""Characters of which two in a row become another one."""

_HEAD = r"""% Tables of the study {experiment}.
% In the preamble: \usepackage[T1]{{fontenc}} \usepackage{{textcomp}} \usepackage{{booktabs}}
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
    parts = [
        latex_table(one.label, one.caption, one.table)
        for section in sections(study)
        for one in printed(experiment, section)
    ]
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


def latex_table(label: str, caption: str, table: Table) -> str:
    """One `table` environment."""
    columns = table.columns
    rows = [[escaped(cell) for cell in cells] for cells in table.cells]
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{prose(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.is_number else 'l' for column in columns)}}}",
        r"\toprule",
        _line([escaped(column.heading) for column in columns]),
        r"\midrule",
        *map(_line, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    # After \\ of the row before, these would be read as its arguments.
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"
