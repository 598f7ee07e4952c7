"""The report on paper: LaTeX that would compile, Markdown without HTML, and charts as files, all of a study
whose texts attack them."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from typer.testing import CliRunner

from dsl.errors import WarehouseError
from dsl.messages import one_line
from tests.warehouse.latex_checker import complaints
from tests.warehouse.reported_study import HOSTILE, METHODS, write_study
from tests.xp.small_study import HANG_SECONDS
from warehouse.report import latex, markdown, write_paper
from warehouse.report.figures import ON_SCREEN, Figure, Section
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
PAPER = r"""\documentclass{article}
\usepackage[T1]{fontenc} \usepackage{textcomp} \usepackage{booktabs} \usepackage{siunitx}
\usepackage{graphicx}
\begin{document}
\input{tables}
\end{document}
"""


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


def test_pdflatex_sets_every_table_within_the_page(tex: str, tmp_path: Path) -> None:
    if (
        shutil.which("pdflatex") is None
        or subprocess.run(["kpsewhich", "siunitx.sty"], check=False).returncode
    ):
        pytest.skip("pdflatex or siunitx is not installed")
    hostile = Table(
        (Column("a [b] ~ \\ c", str), Column("[95% interval] {", str, is_number=True)),
        tuple((text.encode("ascii", "backslashreplace").decode(), "0.50 [0.25, ∞]") for text in TRICKY),
    )
    (tmp_path / "tables.tex").write_text(
        tex + latex.latex_table(Printed("tricky", "`a_b` % “c” ←", hostile)), "utf-8"
    )
    (tmp_path / "paper.tex").write_text(PAPER, "utf-8")
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "paper"],
        cwd=tmp_path,
        capture_output=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    log = (tmp_path / "paper.log").read_text("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    assert re.findall(r"Overfull \\hbox.*|Missing character.*|.*multiply.defined.*", log) == []
    assert "Output written on paper.pdf" in log


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
    first = (
        scores.split(r"\multicolumn{7}{l}{\texttt{contains}. Higher is better} \\")[1]
        .split("\\midrule")[0]
        .strip()
    )
    lines = first.splitlines()
    assert [line.split(" &")[0].replace(r"\_", "_") for line in lines if " & en & " not in line] == [
        m for m in METHODS for _ in range(2)
    ]
    for line in lines:
        cells = line.removesuffix(r" \\").split(" & ")[3:]
        for number, rest in zip(cells[::2], cells[1::2], strict=True):
            assert re.fullmatch(r"-?\d\.\d+|\{(\\textendash\{\})?\}", number), line
            assert re.fullmatch(r"\\ \[.+\] \(\d+(, \d+ unscored)?\)|", rest), rest


def test_effort_and_cost_have_tables_too_and_what_each_step_took_stays_on_the_screen(tex: str) -> None:
    effort = tex.split(r"\caption{Training. ")[1].split(r"\end{table}")[0]
    assert r"\label{tab:hostile-tuning-effort}" in effort
    assert "sft & small" in effort
    cost = tex.split(r"\caption{Cost. ")[1].split(r"\end{table}")[0]
    assert r"\label{tab:hostile-by-model}" in cost
    assert "tiny &" in cost
    for label in ("curves", "spent"):
        assert f"tab:hostile-{label}" not in tex


def test_a_direction_that_all_of_a_table_has_stands_in_its_caption(tex: str) -> None:
    contrasts = tex.split(r"\caption{Contrasts. ")[1].split(r"\label")[0]
    assert "Above zero the first is better." in contrasts
    gaps = tex.split(r"\caption{Gaps between languages. ")[1].split(r"\label")[0]
    assert "Above zero the first language's lead is larger." in gaps


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
        "scores-0", "`contains`", "Means.", "Hollow: not told.", None, whole, whole, "score_by_cell"
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
    on_screen = replace(figure, brief=ON_SCREEN)
    assert list(printed("study", Section("s", "Scores", (), (on_screen,)))) == []


def test_a_column_that_says_the_same_in_every_row_stands_in_the_caption() -> None:
    columns = [Column(name, str) for name in ("method", "against", "none", "n", "mean [95% interval]")]
    cells = (
        ("sft", "`dpo` %", "", "9", "0.50 [0.40, 0.60]"),
        ("icl", "`dpo` %", "", "9", "0.50 [0.40, 0.60]"),
    )
    whole = Table(tuple(columns), cells)
    figure = Figure("wins-0", "", "Means.", "", None, whole, whole, "win_rate_by_method")
    (one,) = printed("study", Section("s", "Wins", (), (figure,)))
    assert [column.heading for column in one.table.columns] == ["method", "mean [95% interval]"]
    assert one.table.cells == (("sft", "0.50 [0.40, 0.60]"), ("icl", "0.50 [0.40, 0.60]"))
    assert one.caption == "Wins. Means. In every row: against `dpo` %; n 9."
    alone = replace(figure, brief=replace(whole, cells=cells[:1]))
    (one,) = printed("study", Section("s", "Wins", (), (alone,)))
    assert one.table.cells == cells[:1]


def test_a_heading_wider_than_its_cells_is_broken_into_lines_but_not_within_brackets() -> None:
    columns = (
        Column("flipped with the order", str, is_number=True),
        Column("a long share [95% interval]", str),
    )
    made = latex.latex_table(Printed("label", "Caption.", Table(columns, (("1", "2"),))))
    assert r"{\begin{tabular}[b]{@{}c@{}}flipped\\{}with the\\{}order\end{tabular}}" in made
    assert r"\begin{tabular}[b]{@{}l@{}}a long\\{}share\\{}[95\% interval]\end{tabular}" in made
    assert complaints(made) == []


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
            assert "href" not in drawn, "answers are in the page alone"
            assert ElementTree.fromstring(drawn).tag.endswith("svg")


def test_a_folder_that_cannot_be_written_is_told(warehouse: Path, tmp_path: Path) -> None:
    (tmp_path / "out-figures").write_text("", "utf-8")
    with pytest.raises(WarehouseError, match="out-figures"):
        write_paper(warehouse, "hostile", tmp_path / "out.tex")


def test_the_command_writes_for_a_paper_tables_twice_and_figures(said: str, tex: str, md: str) -> None:
    assert said.splitlines() == ["reports/hostile.tex", "reports/hostile.md", "reports/hostile-figures"]
    assert tex.startswith("% Tables of the study")
    assert md.startswith("# Prompt it")
