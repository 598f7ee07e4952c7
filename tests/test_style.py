"""The rules of `docs/style.md` that a machine can check: widths, how docstrings open, and the field's
words."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 110
TEXT = {".py", ".sql", ".md", ".toml", ".css", ".js", ".j2", ".html"}
"""A chat template is none: its bytes are part of ids."""
MADE = {"docs/cli.md", "docs/spec.md", "docs/views.md"}
"""Pages made from the code, as wide as what they quote."""

UNBREAKABLE = re.compile(r"[|#> \-*\[\]()!:.\w]*\S{90,}|\s*\|.*")
"""An address, or a row of a table, in Markdown."""

OPENINGS = re.compile(r"(What|How|Whether|Of|Whose|Which|Why|Where|Who|When|Does|Is|Are|Can)\b")
"""First words that neither command nor name a thing (PEP 257)."""

PRIVATE = {
    r"(told|tell|tells|telling) (\w+ )?apart|told from (zero|chance)|can be told": "significant",
    r"is_told_(apart|alone|from)\w*": "is_significant",
    r"\bstretch(es)?\b": "prefix node, run of tokens",
    r"\bstand[-_]ins?\b|\b(stands?|stood) in for\b": "fused module, replacement",
    r"\btwins?\b|\blies over\b": "copy that shares tensors",
    r"\b_?[Pp]ins\b": "fingerprints",
    r"\b(take|takes|taken|taking|took)[_ ]over\b|\bdonors?\b": "reuse, cached rows",
    r"views/kept|\bkept[_ ](view|table|row)s?\b": "materialised table",
    r"\bsalvag\w+": "drop invalid parts",
    r"\b(held|hold|holds|holding) against\b": "baseline, target, compare",
    r"nobody to ask": "not a terminal: pass --yes",
    r"rows (that )?come and go|tokens that meet|\bleast likely\b|\blaid[- ]out\b|\bside_by_side\b": (
        "continuous batching, top-p, prepacked"
    ),
    r"\blikeliest_only\b": "argmax_only",
}
"""Words of our own -> the field's."""

ALLOWED = {"CHANGELOG.md", "docs/style.md", "tests/test_style.py"}
"""Files that must name them: old names beside new ones, and the rules."""


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    return [name for name in names if Path(name).suffix in TEXT and (ROOT / name).is_file()]


ROOMS = sorted({name.split("/")[0] if "/" in name else "." for name in tracked()})


def files_of(room: str) -> list[tuple[str, str]]:
    return [
        (n, (ROOT / n).read_text("utf-8"))
        for n in tracked()
        if (n.split("/")[0] if "/" in n else ".") == room
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_lines_end_at_110_columns(room: str) -> None:
    wide = [
        f"{name}:{number}"
        for name, text in files_of(room)
        if name not in MADE
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > WIDTH and not (name.endswith(".md") and UNBREAKABLE.fullmatch(line))
    ]
    assert wide == []


def docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text: of modules, classes and functions, and of the strings below a field or a name."""
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for above, below in zip([None, *node.body], node.body, strict=False):
                documents = above is None or isinstance(above, ast.Assign | ast.AnnAssign)
                if documents and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    yield below.lineno, str(below.value.value).strip()


@pytest.mark.parametrize("room", ROOMS)
def test_a_docstring_opens_with_an_imperative_or_a_noun_phrase(room: str) -> None:
    opened = [
        f"{name}:{line}: {docstring.splitlines()[0][:60]}"
        for name, text in files_of(room)
        if name.endswith(".py")
        for line, docstring in docstrings(ast.parse(text))
        if OPENINGS.match(docstring)
    ]
    assert opened == []


@pytest.mark.parametrize("room", ROOMS)
def test_names_and_texts_use_the_words_of_the_field(room: str) -> None:
    found = [
        f"{name}:{number}: `{word[0]}` (say {better})"
        for name, text in files_of(room)
        if name not in ALLOWED
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, better in PRIVATE.items()
        for word in re.finditer(pattern, line)
    ]
    assert found == []
