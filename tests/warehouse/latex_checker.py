"""Errors that LaTeX would report of the report's tables, without LaTeX."""

import re

KNOWN = {
    *(
        "begin",
        "end",
        "centering",
        "footnotesize",
        "setlength",
        "tabcolsep",
        "belowcaptionskip",
        "caption",
        "label",
        "toprule",
        "midrule",
        "bottomrule",
    ),
    *(
        "texttt",
        "textbackslash",
        "textasciicircum",
        "textasciitilde",
        "textless",
        "textgreater",
        "textbar",
        "textquotedbl",
    ),
    *("textasciigrave", "textendash", "textquotedblleft", "textquotedblright", "textdagger"),
    *("multicolumn", " ", "sbox", "ifdim", "wd", "linewidth", "resizebox", "usebox", "else", "fi"),
    *("pm", "times", "leftarrow", "rightarrow", "leq", "geq", "infty", "alpha", "kappa"),
}

FITTED = r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"


def complaints(tex: str) -> list[str]:
    """Errors that LaTeX would report, for the few commands that these tables are made of."""
    said: list[str] = []
    body = re.sub(r"(?<!\\)%.*", "", tex).replace(FITTED, "")
    # a heading of several lines is a cell
    body = re.sub(r"\\begin\{tabular\}\[b\]\{@\{\}[lc]@\{\}\}(.*?)\\end\{tabular\}", _in_one_line, body)
    commands = re.findall(r"\\([A-Za-z]+|.)", body)
    said += [
        f"unknown command {command}"
        for command in commands
        if command not in KNOWN and command not in "\\{}$&#%_"
    ]
    bare = re.sub(r"\\(?:[A-Za-z]+|.)", " ", body)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            said.append("a brace closes that was not opened")
    said += ["a brace stays open"] * (depth > 0)
    said += [
        f"bare {character}"
        for character in '#^_~`|<>"'
        if character in re.sub(r"\{tab:[a-z0-9-]+\}", "", bare)
    ]
    said += ["math stays open"] * (bare.count("$") % 2)
    said += [
        f"environments {found}"
        for found in [re.findall(r"\\(begin|end)\{(\w+)\}", body)]
        if _unbalanced(found)
    ]
    for form, rows in re.findall(
        r"\\begin\{tabular\}\{((?:l|@\{\}l|S\[[^]]*\])+)\}\n(.*?)\\end\{tabular\}", body, re.DOTALL
    ):
        columns = re.findall(r"l|S\[([^]]*)\]", form)
        lines = [line for line in rows.splitlines() if not re.fullmatch(r"\\(top|mid|bottom)rule", line)]
        for line in lines:
            cells = _cells(line)
            if len(cells) != len(columns):
                said.append(f"not {len(columns)} columns: {line}")
                continue
            for options, cell in zip(columns, cells, strict=True):
                if options and cell is not None and not _fits(options, cell):
                    said.append(f"no number of the form {options}: {cell}")
    if body.count(r"\begin{tabular}") != len(
        re.findall(r"\\begin\{tabular\}\{(?:l|@\{\}l|S\[[^]]*\])+\}\n", body)
    ):
        said.append("a form of columns that is not known")
    for rows in re.findall(r"\\begin\{tabular\}[^\n]*\n(.*?)\\end\{tabular\}", body, re.DOTALL):
        lines = [line for line in rows.splitlines() if not re.fullmatch(r"\\(top|mid|bottom)rule", line)]
        said += [f"a row without an end: {line}" for line in lines if not line.endswith(r" \\")]
        said += [f"an argument of the row before: {line}" for line in lines if line.startswith(("[", "*"))]
    return said


def _in_one_line(heading: re.Match[str]) -> str:
    return heading[1].replace("\\\\{}", " ")


def _cells(line: str) -> list[str | None]:
    """The cells of a row; None for each column that a heading over several covers."""
    found: list[str | None] = []
    for cell in re.split(r"(?<!\\) & ", line.removesuffix(r" \\")):
        wide = re.fullmatch(r"\\multicolumn\{(\d+)\}\{[lc]\}\{.*\}", cell)
        found += [None] * int(wide[1]) if wide else [cell]
    return found


def _fits(options: str, cell: str) -> bool:
    """Test whether siunitx aligns a cell under these options: a number of at most so many digits, or a text
    in braces."""
    wanted = re.match(r"table-format=(-?)(\d+)(?:\.(\d))?(?:,|$)", options)
    assert wanted is not None, options
    number = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?", cell)
    if number is None:
        return bool(re.fullmatch(r"\{.*\}", cell))
    return (
        (wanted[1] == "-" or not number[1])
        and len(number[2]) <= int(wanted[2])
        and len(number[3] or "") <= int(wanted[3] or 0)
    )


def _unbalanced(found: list[tuple[str, str]]) -> bool:
    open_ones: list[str] = []
    for word, name in found:
        if word == "begin":
            open_ones.append(name)
        elif not open_ones or open_ones.pop() != name:
            return True
    return bool(open_ones)
