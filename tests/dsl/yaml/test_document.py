import os
import re
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsl.errors import SpecError
from dsl.yaml.document import Document, Mark, parse_yaml, read_yaml


def errors(text: str | bytes) -> list[str]:
    """Parsing errors of a text; the file is `f`, so that a line begins with the place."""
    with pytest.raises(SpecError) as refused:
        parse_yaml(text, "f")
    return str(refused.value).split("\n")


def place(document: Document, *path: str | int, on: Any = "value") -> tuple[int, int]:
    mark = document.mark(path, on)
    return mark.line, mark.column


# ---------------------------------------------------------------- data and marks

STUDY = dedent("""\
    experiment: tiny      # a comment
    languages: ["en", "no"]
    methods:
      zero shot: {method: icl, num_fewshot: 0}
      dpo:
        beta: 0.1
        pairs:
        - a
        -   b
    note: |
      two
      lines
    nothing:
    """)


def test_yaml_becomes_plain_data() -> None:
    assert parse_yaml(STUDY, "f").data == {
        "experiment": "tiny",
        "languages": ["en", "no"],
        "methods": {
            "zero shot": {"method": "icl", "num_fewshot": 0},
            "dpo": {"beta": 0.1, "pairs": ["a", "b"]},
        },
        "note": "two\nlines\n",
        "nothing": None,
    }


@pytest.mark.parametrize(
    "text",
    [
        STUDY,
        "\ufeff" + STUDY,
        STUDY.replace("\n", "\r\n"),
        ("\ufeff" + STUDY).encode(),
        STUDY.replace("\n", "\r"),
    ],
)
def test_every_value_and_every_key_has_its_place_whatever_the_line_ends_and_with_a_bom(
    text: str | bytes,
) -> None:
    document = parse_yaml(text, "f")
    assert place(document) == (1, 1)
    assert place(document, "languages", 1) == (2, 19)
    assert place(document, "methods", on="key") == (3, 1)
    assert place(document, "methods") == (4, 3)
    assert place(document, "methods", "zero shot", "num_fewshot") == (4, 41)
    assert place(document, "methods", "zero shot", "num_fewshot", on="key") == (4, 28)
    assert place(document, "methods", "dpo", "pairs", 1) == (9, 9)
    assert place(document, "note") == (10, 7)
    assert place(document, "nothing") == (13, 9)
    assert document.marks.keys() - {()} >= document.key_marks.keys()


def test_what_is_not_in_the_file_is_placed_at_the_nearest_that_holds_it() -> None:
    document = parse_yaml(STUDY, "f")
    assert place(document, "methods", "dpo", "beta", "x", 3) == (6, 11)
    assert place(document, "elsewhere", on="key") == (1, 1)
    assert Document("f", {}, {}, {}).mark(("a",)) == Mark(1, 1, "f")


def test_a_line_is_what_an_editor_calls_a_line() -> None:
    assert place(parse_yaml("a: 'one\u2028two\x85three'\nb: 1", "f"), "b") == (2, 4)


def test_aliases_and_merges_are_filled_in_and_own_keys_win() -> None:
    text = "x: &x {a: 1, b: [2]}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  c: 5\nw: *x\n'<<': 6"
    document = parse_yaml(text, "f")
    assert document.data["z"] == {"a": 1, "b": [2], "c": 5}
    assert document.data["w"] == {"a": 1, "b": [2]}
    assert document.data["<<"] == 6
    assert place(document, "w") == (6, 4)
    assert place(document, "w", "b", 0) == place(document, "z", "b", 0) == (1, 18)
    assert place(document, "z", "c", on="key") == (5, 3)


# ---------------------------------------------------------------- traps


def test_every_problem_of_a_file_is_reported_at_once_in_its_order() -> None:
    text = "languages: [en, no]\nrate: 1e-4\nmethods: {a: 010}\nrate: 2\n"
    assert errors(text) == [
        'f:1:17: languages[1]: YAML reads `no` as false. Quote it: "no".',
        'f:2:7: rate: `1e-4` is text in YAML. Write 1.0e-4, or quote it if text is meant: "1e-4".',
        (
            "f:3:14: methods.a: `010` starts with a zero: octal for some readers of YAML, decimal or text for"
            ' others. Write it without the zero, or quote it if text is meant: "010".'
        ),
        "f:4:1: rate: `rate` stands here twice, first in line 2, column 1. Remove one of them.",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no: 1", 'f:1:1: YAML reads `no` as false. Quote it: "no".'),
        ("a: {3: x}", "f:1:5: a: the key `3` is not text to YAML. Put it in double quotes."),
        (": x", "f:1:1: a `:` without a key before it."),
        ("?\n: x", "f:1:2: the key `(empty)` is not text to YAML. Put it in double quotes."),
        ("a: {{ x }}", "f:1:5: a: a mapping stands where a key is needed. Quote it if text is meant."),
        ("? [b]\n: 1", "f:1:3: a list stands where a key is needed. Quote it if text is meant."),
        (
            "<<: *a",
            (
                "f:1:5: <<: `*a` names nothing: no `&` with this name stands above it. Write the value out,"
                " or quote it if text is meant."
            ),
        ),
        (
            "a: 1\n<<: 3",
            (
                "f:2:5: `<<` merges in a mapping or a list of mappings, such as `*base`. Quote it if it is to"
                " be a key."
            ),
        ),
        (
            "a: &a [*a]",
            (
                "f:1:8: a[0]: `*a` stands inside the value it names. Write the value out, or quote it if text"
                " is meant."
            ),
        ),
        (
            "a: !!python/object:os.system x",
            (
                "f:1:4: a: the tag `!!python/object:os.system` is not read here. Remove it, or quote the"
                " value if text is meant."
            ),
        ),
        (
            "a: !!int '3'",
            "f:1:4: a: the tag `!!int` is not read here. Remove it, or quote the value if text is meant.",
        ),
        (
            "a: 1\n---\nb: 2",
            (
                "f:2:1: a second document starts here; a file holds one. Remove it, or put it in a file of"
                " its own."
            ),
        ),
        ("a:\n\tb: 1", "f:2:1: a tab, where YAML takes spaces only. Indent and separate with spaces."),
        (
            "a: b: c",
            "f:1:5: a `:` where no setting can start. Check the indentation; quote a value that holds `: `.",
        ),
        (
            "a: 1\nb:2\nc: 3",
            (
                "f:2:1: this is not `key: value`. A colon with a space after it is missing, or the"
                " indentation is off."
            ),
        ),
        ("a:\n    b: 1\n  c: 2", "f:3:3: this line's indentation fits none of the lines above it."),
        (
            "a: [1,\n  2",
            "f:1:4: this `[` is not closed by `]`, or a comma is missing after one of its entries.",
        ),
        ("a: {b: 1", "f:1:4: this `{` is not closed by `}`, or a comma is missing after one of its entries."),
        ("a: 'x\nb: 1\n", "f:1:4: this quote is never closed."),
        ('a: "x" y', "f:1:8: something stands after the value's end. Quote the value as a whole."),
        ('a: "\\d"', r"f:1:6: `\d` means nothing between double quotes. Write `\\d`, or use single quotes."),
        (
            'a: "\\UFFFFFFFF"',
            (
                "f:1:7: this escape is beyond Unicode's last character, `\\U0010FFFF`. Write the character"
                " itself."
            ),
        ),
        (
            'a: "\\ud83d"',
            (
                "f:1:4: a: `\\ud83d` in quotes is no character that text can hold. Write the character"
                " itself, or remove it."
            ),
        ),
        (
            'a: "x\\0"',
            (
                "f:1:4: a: `\\u0000` in quotes is no character that text can hold. Write the character"
                " itself, or remove it."
            ),
        ),
        ("a: @x", "f:1:4: an unquoted value cannot start with `@`. Quote it."),
        (
            "a: *.jsonl",
            "f:1:4: an unquoted `&` or `*` starts an anchor or an alias. Quote the value if text is meant.",
        ),
        ("a: !x!y z", "f:1:4: an unquoted `!` starts a tag. Quote the value if text is meant."),
        ("a: |x\n  y", "f:1:5: after `|` or `>` the line ends; the text starts in the next line, indented."),
        (
            "%YAML 2.0\n---\na: 1",
            "f:1:1: a `%` at the start of a line is a directive to YAML. Remove it, or quote the value.",
        ),
        (
            "{path: {language}.jsonl}",
            'f:1:8: an unquoted `{` starts a mapping. Quote the path: "{language}.jsonl".',
        ),
        (
            "{path: rows_{language}.jsonl, a: 1}",
            'f:1:8: an unquoted `{` starts a mapping. Quote the path: "rows_{language}.jsonl".',
        ),
        (
            "a: 1\nb:\n  path: {model}/{language}.csv",
            'f:3:9: an unquoted `{` starts a mapping. Quote the path: "{model}/{language}.csv".',
        ),
        (
            "a: [{method}.json, b]",
            'f:1:5: an unquoted `{` starts a mapping. Quote the path: "{method}.json".',
        ),
        ("{a: hi-{name}}", 'f:1:5: an unquoted `{` starts a mapping. Quote the text: "hi-{name}".'),
        ("a: - b", "f:1:4: a `- ` where no list can start. Begin the list in a line of its own."),
        ("a: ? b", "f:1:4: a `? ` where no setting can start. Quote it if text is meant."),
        (
            "[1] x",
            (
                "f:1:5: something stands after the document's end. Check its indentation; a file holds one"
                " mapping."
            ),
        ),
        ("a: ]", "f:1:4: a value is missing here, or a bracket or comma is too many."),
        (
            "a: \x00b\x00",
            (
                "f:1:4: the character U+0000 cannot stand in a YAML file (1 more such characters follow)."
                " Remove it."
            ),
        ),
        ("a: 1\nb: \ud800", "f:2:4: the character U+D800 cannot stand in a YAML file. Remove it."),
        ("- 1", "f:1:1: the file holds a list of 1 value; a mapping (`key: value` lines) is needed."),
        (
            "a:1",
            (
                'f:1:1: the file holds the text "a:1"; a mapping (`key: value` lines) is needed. A space is'
                " missing after the colon."
            ),
        ),
        (
            "a: \u00e9".encode() + b"\nb: \xe9",
            "f:2:4: byte 0xe9 (number 10 of the file) is not UTF-8. Save the file as UTF-8.",
        ),
        ("a: 1".encode("utf-16"), "f: this looks like UTF-16 or a binary file. Save it as text in UTF-8."),
        ("a: 1".encode("utf-16-be"), "f: this looks like UTF-16 or a binary file. Save it as text in UTF-8."),
        (" " * 1_000_001, "f: 1.0 MB; at most 1 MB is read. Move data to a data file and name it here."),
    ],
)
def test_a_trap_ends_in_one_error_that_says_where_and_what_to_do(text: str | bytes, message: str) -> None:
    assert errors(text) == [message]


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments", "---\n", "\ufeff", b""])
def test_an_empty_file_is_reported_what_it_lacks(text: str | bytes) -> None:
    assert errors(text) == ["f:1:1: nothing is in this file; a mapping (`key: value` lines) is needed."]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "{" * 500_000,
        "- " * 400_000,
        "a: " + "[" * 64 + "]" * 64,
        "\n".join(" " * n + "a:" for n in range(900)),
    ],
)
def test_deep_nesting_is_refused_where_it_gets_too_deep(text: str) -> None:
    assert errors(text)[0].endswith("nested more than 64 levels deep. Flatten it.")


def test_aliases_cannot_nest_deeper_than_brackets_can() -> None:
    chain = "a0: &a0 [x]\n" + "\n".join(f"a{n + 1}: &a{n + 1} [*a{n}]" for n in range(2000))
    assert errors(chain) == [
        "f:63:12: a62[0]: with `*a61` written out, this nests more than 64 levels deep. Flatten it."
    ]


def test_aliases_that_explode_are_refused_without_being_expanded() -> None:
    names = "abcdefghijklmnop"
    laughs = f"a: &a [{'x,' * 10}]\n" + "\n".join(f"{b}: &{b} [{f'*{a},' * 10}]" for a, b in pairwise(names))
    assert errors(laughs) == [
        "f:5:35: e: aliases (`*name`) make this stand for more than 100,000 values. Write out what is needed."
    ]
    merges = "a: &a {" + ",".join(f"k{n}: 1" for n in range(50)) + "}\n"
    merges += "\n".join(f"{b}: &{b} {{<<: [{f'*{a},' * 50}]}}" for a, b in pairwise(names))
    assert "100,000 values" in errors(merges)[0]


def test_what_an_alias_repeats_is_complained_of_once() -> None:
    assert errors("a: &a [no]\nb: *a\nc: *a") == ['f:1:8: a[0]: YAML reads `no` as false. Quote it: "no".']


@pytest.mark.parametrize(
    "line",
    [
        "password: *{}",
        "token: !{} x",
        "token: !!{} x",
        "token: !{}!y x",
        "a: &{} @x",
        "secret: ['x' '{}']",
        "{{token: {}: x}}",
    ],
)
def test_no_error_repeats_a_secret(line: str) -> None:
    for secret in ("hunter2", "12e34"):
        assert secret not in "\n".join(errors(line.format(secret)))


def test_a_number_under_a_secret_key_is_refused_without_being_shown() -> None:
    assert errors("api_key: 12e34\nhf_token: 0777") == [
        "f:1:10: api_key: «redacted» is text in YAML. Quote it.",
        (
            "f:2:11: hf_token: «redacted» starts with a zero: octal for some readers of YAML, decimal or text"
            " for others. Quote it."
        ),
    ]


# ---------------------------------------------------------------- files


def test_a_file_is_read_and_named_in_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_bytes("\ufeffa: é\r\nb: 1e-4\r\n".encode())
    with pytest.raises(SpecError, match=rf"^{re.escape(str(file))}:2:4: b: "):
        read_yaml(file)
    file.write_text("a: é", encoding="utf-8")
    assert read_yaml(file) == Document(
        str(file),
        {"a": "é"},
        {(): Mark(1, 1, str(file)), ("a",): Mark(1, 4, str(file))},
        {("a",): Mark(1, 1, str(file))},
    )


def test_what_cannot_be_read_is_a_spec_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    reasons = {
        "absent.yaml": "no such file.",
        "": "this is a folder; a YAML file is needed.",
        "pipe": "this is not a regular file; a YAML file is needed.",
        "loop": "cannot be read: Too many levels of symbolic links.",
        "x" * 300: "cannot be read: File name too long.",
        "a\0b": "cannot be read: .*embedded null .*",  # in the words of the Python at hand
    }
    for name, reason in reasons.items():
        with pytest.raises(SpecError) as refused:
            read_yaml(tmp_path / name)
        (problem,) = refused.value.problems
        assert problem.line == 0
        assert re.fullmatch(reason, problem.message)


def test_a_file_of_50_megabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(SpecError, match=r"big\.yaml: 50\.0 MB; at most 1 MB is read"):
        read_yaml(tmp_path / "big.yaml")


# ---------------------------------------------------------------- properties

PIECES = [
    "a",
    "b",
    ": ",
    ":",
    " ",
    "  ",
    "\n",
    "\n  ",
    "- ",
    "&a ",
    "*a",
    "<<: ",
    "!x ",
    "!!str ",
    "'",
    '"',
    "[",
    "]",
    "{",
    "}",
    ", ",
    "|\n",
    ">-\n",
    "\t",
]
PIECES += [
    "#",
    "? ",
    "%",
    "no",
    "1e-4",
    "01",
    "2024-01-01",
    "1:30",
    "---\n",
    "...\n",
    "\r\n",
    "\\",
    "\ufeff",
    "\x85",
    "\u2028",
    "é",
    "\x00",
    "${X}",
    "~",
    "=",
]


@st.composite
def mutated_studies(draw: st.DrawFn) -> str:
    text = STUDY
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from(PIECES) | st.text(max_size=3)) + text[end:]
    return text


@settings(max_examples=500, deadline=None)
@example("\ufeff\ufeff::")
@given(
    st.one_of(
        st.text(), st.binary(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join), mutated_studies()
    )
)
def test_any_text_is_either_read_as_pyyaml_reads_it_or_refused_with_places_in_it(text: str | bytes) -> None:
    n_lines = len(re.split(r"\r\n|\r|\n", text if isinstance(text, str) else text.decode("latin-1")))
    document, problems = None, ()
    try:
        document = parse_yaml(text, "f")
    except SpecError as error:
        problems = error.problems
    if document is None:
        assert problems
        assert all("\n" not in str(problem) and problem.line <= n_lines for problem in problems)
        return
    assert all(1 <= mark.line <= n_lines and mark.column >= 1 for mark in document.marks.values())
    try:
        # byte order marks say nothing
        theirs = yaml.safe_load((text if isinstance(text, str) else text.decode()).lstrip("\ufeff"))
    # a second anchor of the same name, `=` and `<<` as values: all text or allowed in YAML 1.2
    except yaml.YAMLError:
        return
    assert document.data == with_on_as_text(theirs)


def with_on_as_text(value: object) -> object:
    """PyYAML's reading, with the bare key `on` as text: no key of ours is a truth value."""
    if isinstance(value, dict):
        return {"on" if key is True else key: with_on_as_text(inner) for key, inner in value.items()}
    return [with_on_as_text(inner) for inner in value] if isinstance(value, list) else value


def test_a_bare_key_on_is_text_though_the_bare_value_is_refused() -> None:
    assert parse_yaml("gain: {on: [language]}", "f").data == {"gain": {"on": ["language"]}}
    for text in ("gain: on", "gain: {On: 1}", "gain: {off: 1}"):
        with pytest.raises(SpecError, match="Quote it"):
            parse_yaml(text, "f")


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20).filter(
    lambda word: not re.fullmatch(r"[-+.0-9eExob_]+", word)
)
SCALARS = (
    WORDS
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(WORDS, NESTED, max_size=5),
    st.sampled_from([None, False, True]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_plain_data_survives_the_round_trip_and_every_mark_points_at_its_value(
    data: dict[str, Any], flow: bool | None, newline: str
) -> None:
    text = yaml.safe_dump(
        data, allow_unicode=True, sort_keys=False, width=100_000, default_flow_style=flow, line_break=newline
    )
    document = parse_yaml(text, "f")
    assert document.data == data
    lines = text.split(newline)

    def check(value: object, path: tuple[str | int, ...]) -> None:
        mark = document.marks[path]
        rest = lines[mark.line - 1][mark.column - 1 :]
        if path and isinstance(path[-1], str):
            key = document.key_marks[path]
            assert starts_with(lines[key.line - 1][key.column - 1 :], path[-1])
        if isinstance(value, dict) and value:
            assert rest.startswith("{") or starts_with(rest, next(iter(value)))
        elif isinstance(value, list) and value:
            assert rest.startswith(("[", "-"))
        else:
            assert starts_with(rest, value)
        inner = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for part, one in inner:
            check(one, (*path, part))

    check(data, ())


def starts_with(text: str, value: object) -> bool:
    """Test whether YAML text, inside brackets or not, begins with this scalar or empty collection."""
    for context in ("", "["):
        token = next(
            token
            for token in yaml.scan(context + text)
            if isinstance(token, yaml.ScalarToken | yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken)
        )
        if not isinstance(token, yaml.ScalarToken):
            return value in ({}, []) and text.startswith(str(value))
        if value == (
            yaml.safe_load(token.value) if token.plain and not isinstance(value, str) else token.value
        ):
            return True
    return False
