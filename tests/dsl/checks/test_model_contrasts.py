"""Contrasts between models: their names, their methods, and what they cannot be tested on."""

from pathlib import Path

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.plan.contrasts import nothing_compared
from dsl.plan.study import Plan

STUDY = """\
experiment: hosted
languages: ["en"]
models:
  gpt: {instruct: {engine: openai, name: gpt, base_url: "http://localhost:1/v1", revision: "1"}}
  claude: {instruct: {engine: openai, name: claude, base_url: "http://localhost:1/v1", revision: "1"}}
  local: {base: {engine: echo}}
data:
  asked: {rows: {path: asked.jsonl}, columns: {item: id, instruction: q}}
evaluate: [asked]
methods:
  chat: {method: instruct}
  shots: {method: icl, num_fewshot: 0}
judges:
  length: {judge: length}
  contains: {judge: exact}
"""


def written(folder: Path, contrasts: str, text: str = STUDY) -> Path:
    (folder / "asked.jsonl").write_text(
        '{"id": "1", "q": "One?", "a": "1"}\n{"id": "2", "q": "Two?", "a": "2"}\n'
    )
    text = text.replace("instruction: q", "instruction: q, answers: a")
    (folder / "study.yaml").write_text(text + contrasts, "utf-8")
    return folder / "study.yaml"


def planned(spec: Path) -> Plan:
    loaded = load(spec)
    return compile(loaded.experiment, Fingerprints(), loaded.origin)


def errors(spec: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(spec)
    return [problem.message for problem in caught.value.problems]


def test_models_are_compared_with_the_method_that_both_have(tmp_path: Path) -> None:
    for method in ("", ", method: chat"):
        text = f"contrasts: {{gap: {{of: {{model: gpt{method}}}, against: {{model: claude}}}}}}\n"
        (contrast,) = planned(written(tmp_path, text)).study.contrasts
        assert (contrast.name, contrast.of, contrast.against, contrast.method) == (
            "gap",
            "gpt",
            "claude",
            "chat",
        )
        assert contrast.on == ("contains",)


def test_each_shared_method_is_a_contrast_of_its_own(tmp_path: Path) -> None:
    text = STUDY.replace(
        "shots: {", "shout: {method: instruct, chat_template_kwargs: {loud: true}}\n  shots: {"
    )
    spec = written(tmp_path, "contrasts: {gap: {of: {model: gpt}, against: {model: claude}}}\n", text)
    assert [(one.name, one.method) for one in planned(spec).study.contrasts] == [
        ("gap_chat", "chat"),
        ("gap_shout", "shout"),
    ]
    more = ", gap_chat: {of: chat, against: shout}}\n"
    spec = written(tmp_path, "contrasts: {gap: {of: {model: gpt}, against: {model: claude}}" + more, text)
    assert any("`gap` makes a contrast of this name" in error for error in errors(spec))


@pytest.mark.parametrize(
    ("contrast", "why"),
    [
        ("{of: {model: gpt}, against: chat}", "one side is a model and the other a method"),
        ("{of: {model: gpt}, against: {model: gpt}}", "`gpt` is compared with itself"),
        ("{of: gpt, against: claude}", "`gpt` is a model. Models are compared as `of: {model: gpt}`"),
        ("{of: {model: gtp}, against: {model: claude}}", "there is no model `gtp`. Did you mean `gpt`?"),
        ("{of: {model: gpt, method: chta}, against: {model: claude}}", "there is no method `chta`"),
        (
            "{of: {model: gpt, method: chat}, against: {model: claude, method: shots}}",
            "the sides differ in model and in method (`chat`, `shots`)",
        ),
        (
            "{of: {model: gpt}, against: {model: local}}",
            "they share no method, so there is nothing to compare. They have `gpt`: `chat`; `local`: `shots`",
        ),
        (
            "{of: {model: gpt, method: shots}, against: {model: claude}}",
            "`shots` is not tried on both",
        ),
        ("{of: {model: gpt}, against: {model: claude}, by: [size]}", "two models have one size each"),
    ],
)
def test_what_makes_no_sense_between_models_is_refused_and_says_why(
    contrast: str, why: str, tmp_path: Path
) -> None:
    found = errors(written(tmp_path, f"contrasts: {{gap: {contrast}}}\n"))
    assert any(why in error for error in found), found


def test_hosted_models_need_no_size_and_are_then_not_drawn_by_size(tmp_path: Path) -> None:
    study = planned(written(tmp_path, "")).study
    assert {cell.num_parameters for cell in study.cells} == {None}
    assert "Not drawn by size, since `parameters` are not stated: gpt, claude." in study.notes
    said = nothing_compared(study)
    assert said is not None
    assert "contrasts: {gain: {of: {model: claude}, against: {model: gpt}}}" in said


def test_an_interaction_with_size_counts_models_of_known_size(tmp_path: Path) -> None:
    text = STUDY.replace("shots: {", "few: {method: icl, num_fewshot: 1}\n  shots: {")
    spec = written(tmp_path, "contrasts: {by_size: {of: few, against: shots, by: [size]}}\n", text)
    assert any(
        "needs 4 models of known size, and the study has 1" in warning.message
        for warning in load(spec).warnings
    )


def test_a_fault_of_a_method_is_no_fault_of_the_models_that_share_it(tmp_path: Path) -> None:
    contrasts = "contrasts: {gap: {of: {model: gpt}, against: {model: claude}}}\n"
    text = STUDY.replace(
        "chat: {method: instruct}", "chat: {method: recorded, answers: {pth: a.jsonl}, columns: {}}"
    )
    setting, column = errors(written(tmp_path, contrasts, text))
    assert "no such setting" in setting
    assert column == "needs `response`."


def test_a_contrast_that_is_declared_twice_is_warned_of_since_its_tests_count_twice(tmp_path: Path) -> None:
    twice = (
        "contrasts:\n"
        "  gap: {of: {model: gpt}, against: {model: claude}, on: [contains]}\n"
        "  back: {of: {model: claude, method: chat}, against: {model: gpt, method: chat}, on: [contains]}\n"
        "  other: {of: {model: claude}, against: {model: gpt}, on: [length]}\n"
    )
    (found,) = [
        warning for warning in load(written(tmp_path, twice)).warnings if "count twice" in warning.message
    ]
    assert (found.path, found.message) == (
        "contrasts.back",
        "compares what `gap` compares, so its tests count twice in the correction. Leave one of the two out",
    )
