"""The report on paper: LaTeX that would compile, Markdown without HTML, and charts as files, all of a study
whose texts attack them."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from typer.testing import CliRunner

from dsl.errors import WarehouseError
from dsl.messages import one_line
from tests.warehouse.reported_study import HOSTILE, METHODS, write_study
from warehouse.report import latex, markdown, write_paper
from warehouse.report.figures import Figure, Section
from warehouse.report.printed import MOST_LINES, Printed, printed
from warehouse.report.tables import Column, Table
from xp.cli import app

TRICKY = (
    *HOSTILE,
    r"\input{/etc/passwd} \end{table} $x_1^2$ 100% #1 & more ~ {",
    "a--b ''c'' ,,d,, ?`e`",
    "| a | b | https://evil.example www.evil.example me@evil.example",
    "1. a list",
    "- a list",
    "=== a heading",
    "# a heading",
    "| --- |",
    "[a link](javascript:alert(1)) ![image](x) <https://x.example> *a* _b_ ~~c~~ &lt;",
)
KNOWN = {
    *(
        "begin",
        "end",
        "centering",
        "footnotesize",
        "setlength",
        "tabcolsep",
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
    *("textasciigrave", "textendash", "textquotedblleft", "textquotedblright"),
    *("multicolumn", " "),
    *("pm", "times", "leftarrow", "rightarrow", "leq", "geq", "infty", "alpha", "kappa"),
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("printed"), languages=("en", "fr"), n_items=6)


@pytest.fixture(scope="module")
def said(warehouse: Path) -> str:
    """Output of the command that writes the study for a paper, in the folder of its files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(warehouse.parent)
        done = CliRunner().invoke(
            app, ["report", "hostile", "--format", "latex", "--store", str(warehouse.parent)]
        )
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def paper(warehouse: Path, said: str) -> tuple[Path, Path, Path]:
    tex, md, figures = (warehouse.parent / path for path in said.splitlines())
    return tex, md, figures


@pytest.fixture(scope="module")
def tex(paper: tuple[Path, Path, Path]) -> str:
    return paper[0].read_text("utf-8")


@pytest.fixture(scope="module")
def md(paper: tuple[Path, Path, Path]) -> str:
    return paper[1].read_text("utf-8")


def complaints(tex: str) -> list[str]:
    """Errors that LaTeX would report, for the few commands that these tables are made of."""
    said: list[str] = []
    body = re.sub(r"(?<!\\)%.*", "", tex)
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


def test_the_checker_sees_what_latex_would_stumble_over() -> None:
    right = (
        "\\begin{table}\n\\begin{tabular}{lS[table-format=-1.2]@{}l}\n\\toprule\na & 0.25 & b \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )
    assert complaints(right) == []
    for old, new in (
        ("a &", "a"),
        ("a &", "a_1 &"),
        ("b \\\\", "b"),
        ("b", "\\input{x}"),
        ("\\end{table}", ""),
        ("b", "{"),
        ("a", "[a"),
        ("b", "$"),
        ("0.25", "0.255"),
        ("0.25", "12"),
        ("0.25", "none"),
        ("S[", "r["),
    ):
        assert complaints(right.replace(old, new, 1)) != [], (old, new)


def test_every_table_of_the_study_is_a_table_that_latex_takes(tex: str) -> None:
    assert complaints(tex) == []
    assert tex.count(r"\begin{table}") == tex.count(r"\toprule") == tex.count(r"\caption{") >= 8
    labels = re.findall(r"\\label\{(.*?)\}", tex)
    assert len(set(labels)) == len(labels) == tex.count(r"\begin{table}")
    assert all(re.fullmatch(r"tab:hostile-[a-z0-9-]+", label) for label in labels)
    for said in ("Methods by language. ", "Contrasts. ", "Critical errors"):
        assert said in tex, said


def test_scores_are_methods_down_and_languages_across_each_with_its_interval_and_n(tex: str) -> None:
    scores = tex.split(r"\caption{Methods by language. ")[1].split(r"\end{tabular}")[0]
    heading = (
        r"method & model & tuned on & \multicolumn{2}{c}{en [95\% interval] (n)} &"
        r" \multicolumn{2}{c}{fr [95\% interval] (n)} \\"
    )
    assert heading in scores
    first = scores.split(r"\multicolumn{7}{l}{\texttt{contains}} \\")[1].split("\\midrule")[0].strip()
    lines = first.splitlines()
    assert [line.split(" &")[0].replace(r"\_", "_") for line in lines if " & en & " not in line] == [
        m for m in METHODS for _ in range(2)
    ]
    for line in lines:
        cells = line.removesuffix(r" \\").split(" & ")[3:]
        for number, rest in zip(cells[::2], cells[1::2], strict=True):
            assert re.fullmatch(r"-?\d\.\d+|\{(\\textendash\{\})?\}", number), line
            assert re.fullmatch(r"\\ \[.+\] \(\d+(, \d+ unscored)?\)|", rest), rest


def test_a_section_has_one_table_of_all_measures_with_a_caption(tex: str) -> None:
    assert tex.count(r"\caption{Methods by language. ") == 1
    assert tex.count(r"\caption{Contrasts. ") == 1
    assert "(continued)" in tex, "on the next page it goes on"


@pytest.mark.parametrize(
    ("cells", "form", "written"),
    [
        (("12", "−3"), "S[table-format=-2]", ["12", "-3"]),
        (("0.125", "12.5", "–"), "S[table-format=2.3]", ["0.125", "12.5", r"{\textendash{}}"]),
        (
            ("1,234", "7"),
            "S[table-format=4,group-separator={,},group-minimum-digits=4]",
            ["1234", "7"],
        ),
        (
            ("−0.25 [−0.50, 0.00]", "1.00 [no spread]", "tie"),
            "S[table-format=-1.2]@{}l",
            [r"-0.25 & \ [$-$0.50, 0.00]", r"1.00 & \ [no spread]", "{tie} & "],
        ),
        (("88% [64, 97]", "5.5%"), "S[table-format=2.1]@{}l", [r"88 & \% [64, 97]", r"5.5 & \%"]),
        (("< 0.001", "0.02"), "S[table-format=1.2]", [r"{\textless{} 0.001}", "0.02"]),
    ],
)
def test_numbers_stand_with_their_points_under_each_other_and_what_follows_beside_them(
    cells: tuple[str, ...], form: str, written: list[str]
) -> None:
    table = Table(
        (Column("name", str), Column("x", str, is_number=True)), tuple(("a", cell) for cell in cells)
    )
    made = latex.latex_table(Printed("label", "Caption.", table))
    assert complaints(made) == []
    assert rf"\begin{{tabular}}{{l{form}}}" in made
    assert re.findall(r"^a & (.*) \\\\$", made, re.MULTILINE) == written


@pytest.mark.parametrize("text", TRICKY)
def test_any_text_is_set_by_latex_as_it_is_written(text: str) -> None:
    table = Table((Column("a", str), Column("b", str, is_number=True)), ((text, text), ("[x]", "*")))
    for headings in ((), ((0, f"`{text}`"), (1, text))):
        one = Printed("label", f"`name` {text}", table, headings)
        assert complaints(latex.latex_table(one)) == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b", r"a\_b"),
        ("100% − 5", r"100\% $-$ 5"),
        ("a--b", "a-{}-b"),
        ("[−∞, ∞]", r"[$-$$\infty$, $\infty$]"),
        ("\\", r"\textbackslash{}"),
        ("{~}", r"\{\textasciitilde{}\}"),
    ],
)
def test_latex_escapes(text: str, written: str) -> None:
    assert latex.escaped(text) == written


def tokens(text: str) -> list[Token]:
    """All tokens of a text, in a reader that lets HTML through and makes links of what looks like one."""
    reader = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    found = reader.parse(text)
    return [inner for token in found for inner in (token, *(token.children or ()))]


def test_markdown_holds_no_html_and_no_link_whatever_the_data_say(md: str) -> None:
    found = {token.type for token in tokens(md)}
    assert not found & {"html_block", "html_inline", "link_open", "image", "fence", "code_block", "hr"}
    assert "<" not in md
    assert "://" not in md


def test_markdown_tables_are_read_as_tables_of_equal_rows(md: str) -> None:
    found = tokens(md)
    assert [token.type for token in found].count("table_open") >= 8
    assert md.count("\n| :--") == [token.type for token in found].count("table_open")
    for block in re.findall(r"(?:^\|.*\n)+", md, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_markdown_begins_with_the_question_the_answer_and_what_to_know(md: str) -> None:
    headings = re.findall(r"^(#+ .*)$", md, re.MULTILINE)
    assert headings[0].startswith("# Prompt it, tune it, or align it? &lt;/title&gt;")
    assert headings[1:4] == ["## Caveats", "## Judges and people", "## Methods by language"]
    assert "## Training" not in headings
    assert md.split("\n\n")[1].startswith("Exploratory: none of 60 comparisons on `contains`")
    assert "\n\n**Main caveat:** Small samples" in md


@pytest.mark.parametrize("text", TRICKY)
def test_any_text_is_shown_by_markdown_as_it_is_written(text: str) -> None:
    (shown,) = [
        token
        for token in MarkdownIt("commonmark", {"html": True}).parse(markdown.escaped(text))
        if token.type == "inline"
    ]
    assert {token.type for token in shown.children or ()} <= {"text", "text_special"}
    assert "".join(token.content for token in shown.children or ()) == one_line(text)


def test_a_long_table_goes_on_in_the_next_one_and_says_what_it_left_out() -> None:
    cells = tuple((str(n), "0.50 [0.40, 0.60]") for n in range(2 * MOST_LINES + 1))
    whole = Table((Column("n", str), Column("mean", str)), cells, n_left_out=7)
    figure = Figure(
        "scores-0", "`contains`", "Means.", "Hollow: not told.", None, whole, whole, "score_by_cell", ()
    )
    one, two, three = printed("study", Section("s", "Scores", (), (figure,)))
    assert (one.table.cells + two.table.cells + three.table.cells) == cells
    assert one.caption == "Scores: `contains`. Means. In brackets: 95% intervals."
    assert (two.caption, three.caption) == (
        "Scores: `contains` (continued).",
        "Scores: `contains` (continued). 7 more rows are in the warehouse.",
    )
    assert [part.label for part in (one, two, three)] == [
        "study-scores-0-1",
        "study-scores-0-2",
        "study-scores-0-3",
    ]
    assert list(printed("study", Section("s", "Scores", (), (figure,), is_printed=False))) == []


def test_every_chart_is_written_as_svg_and_pdf_under_a_name_of_its_own(
    paper: tuple[Path, Path, Path],
) -> None:
    files = sorted(paper[2].iterdir())
    stems = {file.stem if file.suffix in (".svg", ".pdf") else file.name for file in files}
    assert len(files) == 2 * len(stems) >= 60
    assert "contrast_by_language_and_size-contains-urial-zero_shot" in stems
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", file.name) for file in files)
    for file in files:
        if file.suffix == ".pdf":
            assert file.read_bytes().startswith(b"%PDF-")
        else:
            drawn = file.read_text("utf-8")
            assert "currentColor" not in drawn
            assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_a_folder_that_cannot_be_written_is_told(warehouse: Path, tmp_path: Path) -> None:
    (tmp_path / "out-figures").write_text("", "utf-8")
    with pytest.raises(WarehouseError, match="out-figures"):
        write_paper(warehouse, "hostile", tmp_path / "out.tex")


def test_the_command_writes_for_a_paper_tables_twice_and_figures(said: str, tex: str, md: str) -> None:
    assert said.splitlines() == ["reports/hostile.tex", "reports/hostile.md", "reports/hostile-figures"]
    assert tex.startswith("% Tables of the study")
    assert md.startswith("# Prompt it")
