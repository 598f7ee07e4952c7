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
NAMES = {"Makefile", "run"}
"""Files whose name has no suffix."""
TEXT = {".py", ".sql", ".md", ".toml", ".css", ".js", ".j2", ".html", ".yaml", ".yml"}
"""A chat template is none: its bytes are part of ids."""
MADE = {"docs/cli.md", "docs/spec.md", "docs/views.md"}
"""Pages made from the code, as wide as what they quote."""
GIVEN = ("runners/judges/", "runners/prompting/prompt_texts/")
"""Folders of YAML that a model is given, or a judge is asked by: bytes that are part of ids."""

UNBREAKABLE = re.compile(r"[|#> \-*\[\]()!:.\w]*\S{90,}|\s*\|.*")
"""An address, or a row of a table, in Markdown."""
ADDRESS = re.compile(r"\s*url: \S+")
"""A file's address, in YAML."""

OPENINGS = re.compile(r"(What|How|Whether|Of|Whose|Which|Why|Where|Who|When|Does|Is|Are|Can)\b")
"""First words that neither command nor name a thing (PEP 257)."""

PRIVATE = {
    r"\b(told|tell|tells|telling) (\w+ )?apart\b|\btold from (zero|chance)\b|\bcan be told\b": "significant",
    r"\bis told (apart|alone|from)\b": "is_significant",
    r"\bstretch(es)?\b": "prefix node, run of tokens",
    r"\bstand-ins?\b|\b_*stand_ins?(_for\w*)?\b|\b(stands?|stood) in for\b": "fused module, replacement",
    r"\btwins?\b|\blies over\b": "copy that shares tensors",
    r"\bpins\b": "fingerprints",
    r"\b(take|takes|taken|taking|took) (\w+ ){0,2}over\b|\bdonors?\b": "reuse, cached rows",
    r"\bviews/kept\b|\bkept (view|table|row)s?\b": "materialised table",
    r"\bsalvag\w+": "drop invalid parts",
    r"\b(held|hold|holds|holding) against\b": "baseline, target, compare",
    r"\bnobody to ask\b": "not a terminal: pass --yes",
    r"\brows (that )?come and go\b|\b_*side_by_side\b": "continuous batching",
    r"\btokens that meet\b|\bleast likely\b|\blaid[- ]out\b": "packed attention, top-p, prepacked",
    r"\blikeliest only\b": "argmax_only",
}
"""Words of our own -> the field's. A space also stands for what joins the words of a name."""

ALLOWED = {"CHANGELOG.md", "docs/style.md", "tests/test_style.py"}
"""Files that must name them: old names beside new ones, and the rules."""


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if _is_text(name) and (ROOT / name).is_file()]


def _is_text(name: str) -> bool:
    return Path(name).suffix in TEXT or Path(name).name in NAMES


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
        if len(line) > WIDTH and not is_exempt(name, line)
    ]
    assert wide == []


def is_exempt(name: str, line: str) -> bool:
    if name.endswith(".yaml"):
        return name.startswith(GIVEN) or bool(ADDRESS.fullmatch(line))
    return name.endswith(".md") and bool(UNBREAKABLE.fullmatch(line))


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


def private(line: str) -> Iterator[tuple[str, str]]:
    """Yield each word of our own in a line, as prose or within a name, and the field's."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", line)
    for pattern, better in PRIVATE.items():
        for reading in (snake, snake.replace("_", " ")):
            if word := re.search(pattern, reading, re.IGNORECASE):
                yield word[0], better
                break


@pytest.mark.parametrize("room", ROOMS)
def test_names_and_texts_use_the_words_of_the_field(room: str) -> None:
    found = [
        f"{name}:{number}: `{word}` (say {better})"
        for name, text in files_of(room)
        if name not in ALLOWED
        for number, line in enumerate(text.splitlines(), 1)
        for word, better in private(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "class Stretch:",
        "def stretch_of(rows):",
        "class _StretchOfKV:",
        "StandIn = fused",
        "def stand_in_for_attention():",
        '"""Donors of rows."""',
        "donor_rows = 1",
        "nDonors = 1",
        "Twin of a model",
        "TAKEN_OVER = 1",
        "It takes their rows over.",
        "def _side_by_side():",
        "is_told_apart_corrected",
        "isToldApart",
        "keptRows",
    ],
)
def test_a_word_of_our_own_is_found_in_any_case_and_within_names(line: str) -> None:
    assert list(private(line))


@pytest.mark.parametrize(
    "line",
    [
        "values stand in quotes",
        "def test_sections_stand_in_the_order_of_a_reader():",
        "its languages side by side",
        "twine, outstretched, spins",
        "takeover",
    ],
)
def test_words_of_prose_and_parts_of_other_words_are_no_words_of_our_own(line: str) -> None:
    assert not list(private(line))
