"""A plan says what changed since the study was applied last, with both values and the place in the spec."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dsl.data import code_fingerprint
from dsl.errors import ArgumentError
from tests.fixtures.tiny_study import TINY
from tests.xp.small_study import plan_of
from xp.api import Study
from xp.apply import apply
from xp.cli import app
from xp.plan.lines import Line
from xp.plan.overview import Overview, overview_of
from xp.render.explained import explained_as_text
from xp.render.plan import plan_as_text
from xp.studies import diff_for

SPEC = """\
experiment: changed
languages: ["en", "fr"]
models: {echo: {base: {engine: echo}}}
data:
  asked:
    rows: {path: "asked_{language}.jsonl"}
    columns: {item: item, instruction: instruction, answers: answers}
evaluate: [asked]
methods:
  zero: {method: icl, num_fewshot: 0, prompt: {file: "prompt_{language}.yaml"}}
  three: {method: icl, num_fewshot: 3}
decoding: {max_new_tokens: 16}
judges:
  correct: {judge: contains}
  empty: {judge: empty}
"""
PROMPT = 'language: {language}\nquery_tag: "# Q"\nanswer_tag: "# A"\nstop_strings: ["# Q"]\n'


def write(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for language in ("en", "fr"):
        rows = [
            {"item": f"q{n}", "instruction": f"{n} in {language}?", "answers": [str(n)]} for n in range(3)
        ]
        (folder / f"asked_{language}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
        (folder / f"prompt_{language}.yaml").write_text(PROMPT.format(language=language), "utf-8")
    (folder / "study.yaml").write_text(SPEC, "utf-8")
    return folder / "study.yaml"


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study and the store in which it was applied."""
    folder = tmp_path_factory.mktemp("changed")
    spec = write(folder / "study")
    store = spec.parent / ".xp"
    assert not apply(diff_for(spec, None, None, store), store, in_process=True).failures
    return spec.parent


@pytest.fixture
def spec(applied: Path, tmp_path: Path) -> Path:
    """A copy of both, to be changed."""
    shutil.copytree(applied, tmp_path / "study")
    return tmp_path / "study" / "study.yaml"


def seen(spec: Path, targets: list[str] | None = None) -> Overview:
    store = spec.parent / ".xp"
    return overview_of(diff_for(spec, None, targets, store), store)


def edit(spec: Path, old: str, new: str, file: str = "study.yaml") -> None:
    path = spec.parent / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def marks(lines: tuple[Line, ...]) -> dict[str, dict[str, str]]:
    return {
        line.method: {language: "+".join(found) for language, found in line.languages.items()}
        for line in lines
    }


def test_a_study_that_was_never_applied_is_new_in_every_line(tmp_path: Path) -> None:
    overview = seen(write(tmp_path / "study"))
    assert marks(overview.lines) == {
        method: {"en": "new", "fr": "new"} for method in ("data", "zero", "three")
    }
    assert not overview.causes


def test_a_method_that_is_asked_again_is_planned_anew_after_a_change(tmp_path: Path) -> None:
    spec = write(tmp_path / "study")
    edit(spec, "num_fewshot: 3}", "num_fewshot: 3, noise: true}")
    store = spec.parent / ".xp"
    assert not apply(diff_for(spec, None, None, store), store, in_process=True).failures
    edit(spec, "max_new_tokens: 16", "max_new_tokens: 8")
    ((change, cells),) = seen(spec).causes.items()
    assert change.what == "decoding.max_new_tokens"
    assert {cell.method for cell in cells} == {"zero", "three", "three_again"}


CHANGES: dict[str, tuple[tuple[str, str, str], str, tuple[str, ...]]] = {
    "a setting of one method": (
        ("num_fewshot: 3", "num_fewshot: 2", "study.yaml"),
        "methods.three.num_fewshot: `3` → `2`, {folder}/study.yaml:11:37",
        ("three",),
    ),
    "a setting of all": (
        ("max_new_tokens: 16", "max_new_tokens: 8", "study.yaml"),
        "decoding.max_new_tokens: `16` → `8`, {folder}/study.yaml:12:28",
        ("zero", "three"),
    ),
    "a setting that was not there": (
        ("max_new_tokens: 16", "max_new_tokens: 16, repetition_penalty: 1.5", "study.yaml"),
        "decoding.repetition_penalty: `1.0` → `1.5`, {folder}/study.yaml:12:52",
        ("zero", "three"),
    ),
    "a data file": (
        ("2 in en?", "2 in English?", "asked_en.jsonl"),
        "data file {folder}/asked_en.jsonl changed",
        ("zero", "three"),
    ),
    "a prompt file": (
        ("# A", "# An", "prompt_fr.yaml"),
        "prompt text {folder}/prompt_fr.yaml changed",
        ("zero",),
    ),
    "a judge that was added": (
        ("judge: empty}", "judge: empty}\n  long: {judge: length}", "study.yaml"),
        "judges.long: none → added, {folder}/study.yaml:16:3",
        ("zero", "three"),
    ),
    "a judge that was taken out": (
        ("  empty: {judge: empty}\n", "", "study.yaml"),
        "judges.empty: there → taken out",
        ("zero", "three"),
    ),
}


@pytest.mark.parametrize(("change", "said", "methods"), CHANGES.values(), ids=CHANGES)
def test_what_changed_is_said_with_both_values_and_its_place(
    change: tuple[str, str, str], said: str, methods: tuple[str, ...], spec: Path
) -> None:
    edit(spec, *change)
    overview = seen(spec)
    ((found, cells),) = overview.causes.items()
    assert str(found) == said.format(folder=spec.parent)
    assert tuple(dict.fromkeys(cell.method for cell in cells)) == methods
    assert f"~ {found}" in plan_as_text(overview)
    assert {line.method for line in overview.lines if line.todo} - {"data"} == {*methods}


def test_code_and_libraries_that_decide_are_named_where_no_setting_differs(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = code_fingerprint.fingerprint
    for module in ("dsl.steps.identity", "runners.store.row_keys"):
        monkeypatch.setattr(f"{module}.fingerprint", lambda *names: f"{real(*names)[:15]}x")
    overview = seen(spec)
    assert {str(change) for change in overview.causes} >= {"code of runners.steps.data changed"}
    monkeypatch.setattr("xp.plan.changes.version_of", lambda name: "99")
    (library, *_) = (str(change) for change in seen(spec).causes if change.what.startswith("library"))
    assert library.endswith(" → 99")


def test_lines_and_counts_agree_with_targets(spec: Path) -> None:
    edit(spec, "max_new_tokens: 16", "max_new_tokens: 8")
    whole = seen(spec)
    for targets in (None, ["generate"], ["data"], [whole.lines[1].todo[0]]):
        overview = seen(spec, targets)
        diff = overview.diff
        steps = [step_id for line in overview.lines for step_id in line.steps]
        todo = [step_id for line in overview.lines for step_id in line.todo]
        assert sorted(steps) == sorted(diff.asked)
        assert sorted(todo) == sorted(diff.todo)
        n_done = len(diff.asked) - len(diff.todo)
        assert f"{n_done} done, {len(diff.todo)} to run" in plan_as_text(overview)


def test_what_is_no_longer_in_the_study_is_orphaned_and_a_renamed_method_is_reused(spec: Path) -> None:
    edit(spec, '["en", "fr"]', '["en"]')
    edit(spec, "  three:", "  shown:")
    edit(spec, "  zero:", "  zero_shot:")
    lines = seen(spec).lines
    assert marks(lines) == {
        "data": {"en": "reused"},
        "zero_shot": {"en": "reused"},
        "shown": {"en": "reused"},
        "zero": {"fr": "orphaned"},
        "three": {"fr": "orphaned"},
    }


def test_a_step_is_explained_from_its_own_id_to_the_line_that_changed(spec: Path) -> None:
    edit(spec, "2 in en?", "2 in English?", "asked_en.jsonl")
    overview = seen(spec)
    judge = next(s for s in overview.diff.todo if s.startswith("judge-"))
    lines = explained_as_text(overview, judge[:-1]).splitlines()
    kinds = [line.partition("-")[0] for line in lines if not line.startswith(" ")]
    assert kinds == ["judge", "generate", "data"]
    assert lines[-1] == f"  data file {spec.parent}/asked_en.jsonl changed"
    for done in overview.diff.done:
        same = explained_as_text(overview, done)
        assert same.endswith("the same step as when the study was applied last")
    with pytest.raises(ArgumentError, match="the beginning of 4 steps"):
        explained_as_text(overview, "judge")
    with pytest.raises(ArgumentError, match="no step is called sft"):
        explained_as_text(overview, "sft")


def test_a_step_that_no_target_needs_is_not_to_run(spec: Path) -> None:
    edit(spec, "max_new_tokens: 16", "max_new_tokens: 8")
    store = spec.parent / ".xp"
    planned = Study(spec, store).plan(["generate"])
    judge = next(s for s in planned.diff.plan.steps if s.startswith("judge-") and s not in planned.diff.done)
    assert "  not to run: no --target names or needs it" in explained_as_text(planned.overview, judge)
    assert {step.step_id for step in planned.published.steps if step.why} == {*planned.todo}
    told = CliRunner().invoke(app, ["plan", str(spec), "--explain", judge, "--json", "--store", str(store)])
    assert (told.exit_code, told.stdout) == (2, "")


def shuffled(value: Any, draw: random.Random) -> Any:
    """The same settings in another order; lists are values of their own."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(inner, draw)) for key, inner in value.items()]
        return dict(draw.sample(pairs, len(pairs)))
    return value


def commented(text: str, draw: random.Random) -> str:
    lines = (f"{line}{draw.choice(['', '  # a comment', ''])}" for line in text.splitlines())
    return "\n".join(f"{draw.choice(['', '', '# above', ' '])}\n{line}" for line in lines) + "\n"


COSMETIC: tuple[Callable[[str, random.Random], str], ...] = (
    commented,
    lambda text, draw: yaml.safe_dump(shuffled(yaml.safe_load(text), draw), sort_keys=False),
    lambda text, draw: json.dumps(shuffled(yaml.safe_load(text), draw), indent=draw.randint(0, 4)),
    lambda text, draw: text.replace("zero:", f"name_{draw.randint(0, 9)}:"),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(COSMETIC), max_size=4), st.randoms(use_true_random=False), st.booleans())
def test_cosmetic_edits_and_moved_files_leave_every_step_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[Callable[[str, random.Random], str]],
    draw: random.Random,
    is_moved: bool,
) -> None:
    folder = tmp_path_factory.mktemp("cosmetic")
    spec = write(folder / "study")
    before = plan_of(spec)
    text = SPEC
    for one in edits:
        text = one(text, draw)
    if is_moved:
        for language in ("en", "fr"):
            (spec.parent / f"asked_{language}.jsonl").rename(folder / f"elsewhere_{language}.jsonl")
        text = text.replace("asked_{language}.jsonl", "../elsewhere_{language}.jsonl")
    spec.write_text(text, "utf-8")
    after = plan_of(spec)
    assert {*after.steps} == {*before.steps}
    names = {*yaml.safe_load(text)["methods"]}
    assert {cell.method for cell in after.study.cells} == names, "labels follow"


def test_a_moved_prompt_file_rubric_and_model_folder_make_nothing_again(tmp_path: Path) -> None:
    spec = write(tmp_path / "study")
    rubric = {
        "aspects": {"help": {"question": "Does it help?", "levels": [f"level {n}" for n in range(1, 6)]}}
    }
    study = yaml.safe_load(SPEC)
    study["models"]["tiny"] = {"base": {"path": "tiny"}}
    study["judges"]["opinion"] = {
        "judge": "rubric",
        "rubric": {"file": "rubric.yaml"},
        "model": {"path": "tiny"},
    }
    spec.write_text(yaml.safe_dump(study), "utf-8")
    (spec.parent / "rubric.yaml").write_text(yaml.safe_dump(rubric), "utf-8")
    shutil.copytree(TINY, spec.parent / "tiny")
    before = plan_of(spec)
    assert {type(step).__name__ for step in before.steps.values()} >= {"GenerateStep", "JudgeStep"}

    (tmp_path / "else where").mkdir()
    for name in ("prompt_en.yaml", "prompt_fr.yaml", "rubric.yaml", "tiny"):
        (spec.parent / name).rename(tmp_path / "else where" / f"moved_{name}")
    study["methods"]["zero"]["prompt"]["file"] = "../else where/moved_prompt_{language}.yaml"
    study["judges"]["opinion"]["rubric"]["file"] = "../else where/moved_rubric.yaml"
    for model in (study["models"]["tiny"]["base"], study["judges"]["opinion"]["model"]):
        model["path"] = "../else where/moved_tiny"
    spec.write_text(yaml.safe_dump(study), "utf-8")
    assert {*plan_of(spec).steps} == {*before.steps}
