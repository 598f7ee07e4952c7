"""Code that runs while a data step or a judge by rule makes its rows is in its fingerprint.

A profiler says what ran: every such definition is edited in turn, in memory, and every module that the
fingerprint follows as a whole.
"""

import ast
import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from dsl.data.code_fingerprint import (
    OURS,
    ROOT,
    Sources,
    _parsed,
    data_of,
    fingerprint,
    source_of,
    version_of,
)
from dsl.data.fingerprints import file_sha256
from dsl.data.records import Completion, Example, Verdict
from dsl.data.source import Columns, FileSource
from dsl.plugins import names, settings_of
from dsl.steps.identity import judge_key
from dsl.steps.steps import DataStep, Judged, JudgeStep, Step
from runners.steps import find_runner
from runners.store.step_io import RowWriter, StepContext

Place = tuple[str, int]
"""A module, and which of its statements."""

ASKED, ANSWERS, OTHERS = "data-0000000000000000", "generate-0000000000000000", "judge-0000000000000000"
TEXTS = [
    "Paris.",
    "The city is Paris, so 7 of 7.",
    "no no no no no no no no no no no no",
    "```python\nprint(7)\n```",
    "I cannot help.",
    None,
]
BY_RULE = sorted(
    name for name in names("dsl.judges") if name not in ("decision", "pairwise", "reward", "rubric")
)
EXTRA = {"instruction_id_list": '["punctuation:no_comma", "length_constraints:number_words"]'}
EXTRA["kwargs"] = '[{}, {"relation": "at least", "num_words": 2}]'


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Inputs of the steps: examples, answers, verdicts of two judges, and files to read."""
    root = tmp_path_factory.mktemp("inputs")
    examples = [
        Example(
            item=str(n),
            language="en",
            instruction="How much? Say 7.",
            answers=("7", "Paris"),
            reference="Paris",
            extra=EXTRA,
        )
        for n in range(len(TEXTS))
    ]
    rows: dict[str, tuple[str, list[Any]]] = {
        ASKED: ("examples.jsonl", examples),
        ANSWERS: ("completions.jsonl", [_completion(str(n), text) for n, text in enumerate(TEXTS)]),
        OTHERS: (
            "verdicts.jsonl",
            [_verdict(judge, example.item) for judge in ("a", "b") for example in examples],
        ),
    }
    for name, (file, values) in rows.items():
        (root / name).mkdir()
        with RowWriter(root / name / file) as writer:
            for value in values:
                writer.write(value)
    (root / "rows.csv").write_text("id,q,given\n1,What?,1\n2,Who?,0\n", "utf-8")
    return {"": root, **{name: root / name for name in rows}}


def _completion(item: str, text: str | None) -> Completion:
    return Completion(
        row_key=f"{int(item):064x}",
        item=item,
        language="en",
        prompt="",
        text=text,
        raw_text=text,
        finish_reason="eos" if text else "missing",
        max_new_tokens=9,
        engine="recorded",
    )


def _verdict(judge: str, item: str) -> Verdict:
    return Verdict(row_key="0" * 64, judge=judge, item=item, language="en", aspect=judge, score=1.0)


def _steps(folders: dict[str, Path]) -> dict[str, Step]:
    """Every kind of step whose code is in its id."""
    path = folders[""] / "rows.csv"
    file = {"path": str(path), "sha256": file_sha256(path), "format": "csv"}
    needed = {
        "recorded": {
            "verdicts": {"path": "rows.csv"},
            "source": file,
            "columns": {"item": "id", "scores": {"given": "given"}},
        },
        "ensemble": {"of": ("a", "b")},
    }
    steps: dict[str, Step] = {
        "data": DataStep(
            source=FileSource.model_validate(file), columns=Columns(item="id", instruction="q"), language="en"
        )
    }
    for name in BY_RULE:
        judge = settings_of("judges", name).model_validate(needed.get(name, {}))
        verdicts = {one: Judged(step=OTHERS, judge=one) for one in judge.judges()}
        steps[name] = JudgeStep(
            judges={judge_key(judge): judge}, answers=ANSWERS, examples=ASKED, verdicts=verdicts
        )
    return steps


def ran(work: Callable[[], object]) -> set[Place]:
    """The statements of our modules in which something was called."""
    found: set[Place] = set()

    def seen(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(f"{ROOT}/") and code.co_name != "<module>":
            module = ".".join(Path(code.co_filename).relative_to(ROOT).with_suffix("").parts).removesuffix(
                ".__init__"
            )
            if module.split(".")[0] in OURS:
                found.add((module, code.co_firstlineno))

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return {(module, _statement(module, line)) for module, line in found}


_source, _data, _version = cache(source_of), cache(data_of), cache(version_of)
"""Read once: of all files, an edit changes one."""


def _statement(module: str, line: int) -> int:
    return next(number for number, one in enumerate(_tree(module).body) if (one.end_lineno or 0) >= line)


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(source_of(module) or "")


def edited(module: str, numbers: Iterable[int]) -> Sources:
    """Sources in which some statements of a module compute something else."""
    tree = copy.deepcopy(_tree(module))
    for number in numbers:
        _edit(tree.body[number])
    text = ast.unparse(tree)
    return Sources(lambda name: text if name == module else _source(name), _data, _version)


def _edit(statement: ast.stmt) -> None:
    match statement:
        case ast.If():  # for type checkers: what runs is the other branch
            for one in statement.orelse:
                _edit(one)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            statement.body.append(ast.parse("edited = 1").body[0])
        case ast.Assign() | ast.AnnAssign() if statement.value is not None:
            statement.value = ast.Tuple([statement.value], ast.Load())
        case _:  # imports, docstrings and declarations
            pass


@pytest.fixture(autouse=True, scope="module")
def parsed_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsl.data.code_fingerprint._parsed", cache(_parsed))
        yield


@pytest.mark.parametrize("name", ["data", *BY_RULE])
def test_an_edit_of_any_definition_that_ran_makes_a_new_fingerprint(
    name: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    step = _steps(folders)[name]
    kind, context = find_runner(step.kind), StepContext(folders, tmp_path / "cache")
    places = ran(lambda: kind.run(step, context, tmp_path))
    assert {module for module, _ in places} >= set(step.code)
    assert [
        place
        for place in sorted(places)
        if edited(place[0], [place[1]]).fingerprint(*step.code) == fingerprint(*step.code)
    ] == []


@pytest.mark.parametrize("name", ["data", *BY_RULE])
def test_an_edit_of_any_module_that_is_followed_makes_a_new_fingerprint(
    name: str, folders: dict[str, Path]
) -> None:
    code, asked = _steps(folders)[name].code, set[str]()
    Sources(source=lambda module: asked.add(module) or source_of(module)).fingerprint(*code)
    modules = sorted(module for module in asked if source_of(module) is not None)
    assert len(modules) > 10
    assert [
        m for m in modules if edited(m, range(len(_tree(m).body))).fingerprint(*code) == fingerprint(*code)
    ] == []
