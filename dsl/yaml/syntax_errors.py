"""PyYAML's syntax errors in plain words: what stands there, and what to write instead.

PyYAML says what its scanner expected, in the scanner's terms, and points where it gave up. A quote or a
bracket that was never closed is better shown where it was opened, which PyYAML calls the context.
"""

import re

import yaml

from dsl.messages import shorten, unquoted_braces

# Tried in turn on "context: problem"; the first pattern found speaks. `{}` takes what the pattern captured.
_AT_PROBLEM = (
    (
        r"character '\\t' that cannot start",
        "a tab, where YAML takes spaces only. Indent and separate with spaces.",
    ),
    (r"character ['\"](.+)['\"] that cannot start", "an unquoted value cannot start with `{}`. Quote it."),
    (
        r"mapping values are not allowed",
        "a `:` where no setting can start. Check the indentation; quote a value that holds `: `.",
    ),
    (
        r"sequence entries are not allowed",
        "a `- ` where no list can start. Begin the list in a line of its own.",
    ),
    (r"mapping keys are not allowed", "a `? ` where no setting can start. Quote it if text is meant."),
    (
        r"unknown escape character ['\"](.)['\"]",
        r"`\{}` means nothing between double quotes. Write `\\{}`, or use single quotes.",
    ),
    (
        r"expected escape sequence",
        r"an escape without its hexadecimal digits. Write `\\` for a backslash, or use single quotes.",
    ),
    (
        r"block end>, but found '<(?:scalar|alias|anchor|tag)",
        "something stands after the value's end. Quote the value as a whole.",
    ),
    (r"block end>, but found ':'", "a `:` without a key before it."),
    (r"expected <block end>", "this line's indentation fits none of the lines above it."),
    (
        r"scanning a block scalar",
        "after `|` or `>` the line ends; the text starts in the next line, indented.",
    ),
    (
        r"directive|YAML document \(version",
        "a `%` at the start of a line is a directive to YAML. Remove it, or quote the value.",
    ),
    (
        r"expected '<document start>'",
        "something stands after the document's end. Check its indentation; a file holds one mapping.",
    ),
    (r"expected the node content", "a value is missing here, or a bracket or comma is too many."),
)
_AT_CONTEXT = (
    (
        r"could not find expected ':'",
        "this is not `key: value`. A colon with a space after it is missing, or the indentation is off.",
    ),
    (
        r"expected ',' or '\]'",
        "this `[` is not closed by `]`, or a comma is missing after one of its entries.",
    ),
    (
        r"expected ',' or '\}'",
        "this `{` is not closed by `}`, or a comma is missing after one of its entries.",
    ),
    (r"quoted scalar.*unexpected (?:end of stream|document separator)", "this quote is never closed."),
    (
        r"scanning an? (?:anchor|alias)",
        "an unquoted `&` or `*` starts an anchor or an alias. Quote the value if text is meant.",
    ),
    (
        r"scanning a tag|undefined tag handle|parsing a tag",
        "an unquoted `!` starts a tag. Quote the value if text is meant.",
    ),
)


_BRACES = re.compile(r"""[^\s,:"'\[\]{}]*(?:\{[a-z_]+\}[^\s,:"'\[\]{}]*)+""")
"""A value with a placeholder in it, as `rows_{language}.jsonl`, where it is not quoted."""


def in_plain_words(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the place (index of the character) and the fault in plain words; `text` is what was parsed."""
    at = _index(error.problem_mark or error.context_mark)
    start = text.rfind("\n", 0, at) + 1
    for found in _BRACES.finditer(text, start):
        if found.start() > at:
            break
        if at <= found.end():
            return found.start(), unquoted_braces(shorten(found[0]))
    said = f"{error.context or ''}: {error.problem or ''}"
    for pattern, words in _AT_CONTEXT:
        if re.search(pattern, said):
            return _index(error.context_mark or error.problem_mark), words
    for pattern, words in _AT_PROBLEM:
        if found := re.search(pattern, said):
            return at, words.replace("{}", found[1] if found.groups() else "")
    return at, f"not YAML: {said.strip(': ')}."


def _index(mark: object) -> int:
    return mark.index if isinstance(mark, yaml.Mark) else 0
