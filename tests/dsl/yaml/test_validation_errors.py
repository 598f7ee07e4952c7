"""Models like those of a study, so that the claims stand whatever settings a study comes to have."""

import copy
from textwrap import dedent
from typing import Annotated, Any, Literal, Self

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from dsl.messages import Path
from dsl.values import Language, Name, Value
from dsl.yaml.document import Document, parse_yaml
from dsl.yaml.validation_errors import explain


class Training(Value):
    learning_rate: float = Field(2e-4, gt=0, lt=1)
    max_steps: int = Field(-1, ge=-1, le=10_000)
    bf16: bool = False
    digest: str | None = Field(None, json_schema_extra={"readOnly": True})


class Tuning(Value):
    train_languages: Literal["each", "all"] | Annotated[tuple[Language, ...], Field(min_length=1)] = "each"


class Dpo(Tuning):
    method: Literal["dpo"] = "dpo"
    pairs: Name
    beta: float = Field(0.1, gt=0)
    training: Training = Training()


class Icl(Value):
    method: Literal["icl"] = "icl"
    num_fewshot: int = 3
    demonstrations: Name | None = Field(None, alias="from")


class Part(Value):
    column: str | int
    pattern: str


class RowNumber(Value):
    row_number: Literal[True]


class Weights(Value):
    engine: Literal["transformers"] = "transformers"
    hub: str | None = Field(None, pattern=r"^\w+/\w+$")
    """A repository on the hub, as `owner/name`."""
    path: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.hub is None) == (self.path is None):
            raise ValueError(f"name exactly one of `hub` and `path`, not {self.hub} and {self.path}")
        return self


class Hosted(Value):
    engine: Literal["openai"]
    api_key_env: str = Field(pattern="^[A-Z_]+$")


def _with_engine(value: Any) -> Any:
    return {"engine": "transformers", **value} if isinstance(value, dict) and "engine" not in value else value


class Study(Value):
    experiment: Name
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    methods: dict[Name, Annotated[Dpo | Icl, Field(discriminator="method")]] = {}
    one: Annotated[Dpo | Icl, Field(discriminator="method")] | None = None
    models: dict[
        Name,
        Annotated[Annotated[Weights | Hosted, Field(discriminator="engine")], BeforeValidator(_with_engine)]
        | None,
    ] = {}
    item: str | int | Part | RowNumber | None = None
    steps: list[Training] = []
    pair: tuple[int, Training] | None = None
    tune: Tuning = Tuning()


def problems(text: str, prefix: Path = (), model: Any = Study, *, told: bool = True) -> list[str]:
    """Problems of a YAML text, one line each, without the file's name."""
    document = parse_yaml(dedent(text), "f")
    data: Any = document.data
    for part in prefix:
        data = data[part]
    with pytest.raises(ValidationError) as refused:
        model.model_validate(data)
    return [
        str(problem).removeprefix("f:")
        for problem in explain(refused.value, document, prefix, model if told else None)
    ]


# ---------------------------------------------------------------- unknown and missing settings


def test_an_unknown_key_is_pointed_at_and_the_near_miss_named() -> None:
    text = """\
    experiment: x
    methods:
      a: {method: dpo, pairs: p, beeta: 1}
      b: {method: icl, training: {}}
    experimnt: y
    """
    assert problems(text) == [
        "3:30: methods.a.beeta: a dpo method has no such setting. Did you mean `beta`?",
        (
            "4:20: methods.b.training: an icl method has no such setting. Allowed: `method`, `num_fewshot`,"
            " `from`."
        ),
        "5:1: experimnt: no such setting here. Did you mean `experiment`?",
    ]


def test_what_only_the_plan_fills_in_is_not_offered() -> None:
    assert problems("{experiment: x, steps: [{zzz: 1}]}") == [
        "1:26: steps[0].zzz: no such setting here. Allowed: `learning_rate`, `max_steps`, `bf16`."
    ]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (
            "one: {method: dpo, pairs: p, training: {max_step: 1}}",
            "1:57: one.training.max_step: no such setting here. Did you mean `max_steps`?",
        ),
        (
            "pair: [1, {max_step: 1}]",
            "1:28: pair[1].max_step: no such setting here. Did you mean `max_steps`?",
        ),
        (
            "models: {m: {hubb: a/b, path: x}}",
            "1:30: models.m.hubb: a transformers engine has no such setting. Did you mean `hub`?",
        ),
        ("item: {column: x, patern: y}", "1:35: item.patern: no such setting here. Did you mean `pattern`?"),
    ],
)
def test_allowed_settings_are_known_behind_every_shape_of_annotation(where: str, found: str) -> None:
    assert found in problems(f"{{experiment: x, {where}}}")


def test_a_missing_setting_is_reported_at_the_key_of_the_mapping_that_lacks_it() -> None:
    text = """\
    methods:
      a:
        method: dpo
        beta: 1
    """
    assert problems(text) == ["1:1: needs `experiment`.", "2:3: methods.a: needs `pairs`."]


def test_without_the_models_every_problem_keeps_its_place() -> None:
    text = "{experiment: 3, methods: {a: {method: dpo, beeta: 1}}, item: {column: x}, languages: [en, 3]}"
    assert problems(text, told=False) == [
        '1:14: experiment: found `3`; must be text. Quote it: "3".',
        "1:27: methods.a: needs `pairs`.",
        "1:44: methods.a.beeta: no such setting here.",
        "1:56: item: needs `pattern`.",
        '1:91: languages[1]: found `3`; must be text. Quote it: "3".',
    ]


def test_a_part_of_a_document_may_be_checked_by_itself() -> None:
    text = "judges: {mine: {settings: [{max_step: 1}]}}"
    assert problems(text, ("judges", "mine", "settings", 0), Training) == [
        "1:29: judges.mine.settings[0].max_step: no such setting here. Did you mean `max_steps`?"
    ]


# ---------------------------------------------------------------- wrong values


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("languages: en", '1:28: languages: found the text "en"; must be a list. Write ["en"].'),
        ("languages: []", "1:28: languages: found an empty list; must have 1 or more entries."),
        (
            "languages: [English]",
            '1:29: languages[0]: found the text "English"; must be a language code such as `en` or `pt-BR`.',
        ),
        ("methods: [a]", "1:26: methods: found a list of 1 value; must be a mapping (`key: value` lines)."),
        ("methods: {a: }", "1:29: methods.a: found nothing; must be a mapping (`key: value` lines)."),
        (
            "methods: {a b: {method: icl}}",
            (
                '1:27: methods["a b"]: found the text "a b"; must be letters, digits, `_`, `.` and `-`, and'
                " begin with a letter or digit."
            ),
        ),
        (
            "one: {method: icll}",
            '1:31: one.method: found the text "icll"; must be one of `dpo`, `icl`. Did you mean `icl`?',
        ),
        ("one: {method: 3}", "1:31: one.method: found `3`; must be one of `dpo`, `icl`."),
        (
            "one: {mthod: icl}",
            "1:17: one: needs `method`, one of `dpo`, `icl`. Did you mean `method` by `mthod`?",
        ),
        (
            "steps: [{learning_rate: fast}]",
            '1:41: steps[0].learning_rate: found the text "fast"; must be a number.',
        ),
        ("steps: [{learning_rate: 0}]", "1:41: steps[0].learning_rate: found `0`; must be greater than 0."),
        ("steps: [{learning_rate: 1}]", "1:41: steps[0].learning_rate: found `1`; must be less than 1."),
        ("steps: [{max_steps: -2}]", "1:37: steps[0].max_steps: found `-2`; must be at least -1."),
        ("steps: [{max_steps: 20000}]", "1:37: steps[0].max_steps: found `20000`; must be at most 10000."),
        ("steps: [{max_steps: 1.5}]", "1:37: steps[0].max_steps: found `1.5`; must be a whole number."),
        ("steps: [{bf16: maybe}]", '1:32: steps[0].bf16: found the text "maybe"; must be `true` or `false`.'),
        ("one: {method: icl, from: 1.10}", '1:42: one.from: found `1.1`; must be text. Quote it: "1.1".'),
        (
            "models: {m: {hub: x}}",
            (
                '1:35: models.m.hub: found the text "x"; must match the pattern `^\\w+/\\w+$`. A repository'
                " on the hub, as `owner/name`."
            ),
        ),
        ("models: {m: {}}", "1:26: models.m: name exactly one of `hub` and `path`, not None and None."),
    ],
)
def test_a_wrong_value_is_reported_what_was_found_and_what_belongs_there(setting: str, problem: str) -> None:
    assert problems(f"{{experiment: x, {setting}}}") == [problem]


def test_a_bad_entry_is_not_also_called_a_list_that_is_too_short() -> None:
    assert problems("{experiment: x, languages: [3]}") == [
        '1:29: languages[0]: found `3`; must be text. Quote it: "3".'
    ]


# ---------------------------------------------------------------- unions without a tag


def test_a_mapping_of_which_no_way_knows_a_key_is_told_every_way() -> None:
    assert problems("{experiment: x, item: {messages: y, z: 1}}") == [
        "1:17: item: needs `column` and `pattern` or `row_number`.",
        "1:24: item.messages: no such setting here.",
        "1:37: item.z: no such setting here.",
    ]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (
            "tune: {train_languages: eech}",
            (
                '1:41: tune.train_languages: found the text "eech"; must be one of `each`, `all` or a list.'
                " Did you mean `each`?"
            ),
        ),
        (
            "tune: {train_languages: [e]}",
            (
                '1:42: tune.train_languages[0]: found the text "e"; must be a language code such as `en` or'
                " `pt-BR`."
            ),
        ),
        (
            "tune: {train_languages: []}",
            "1:41: tune.train_languages: found an empty list; must have 1 or more entries.",
        ),
        ("item: {column: x}", "1:17: item: needs `pattern`."),
        ("item: {row_number: false}", "1:36: item.row_number: found `false`; must be `true`."),
        ("item: {}", "1:17: item: needs `column` and `pattern` or `row_number`."),
        (
            "item: [1]",
            (
                "1:23: item: found a list of 1 value; must be text or a whole number or a mapping (`key:"
                " value` lines)."
            ),
        ),
        (
            "item: {column: [], pattern: y}",
            "1:32: item.column: found an empty list; must be text or a whole number.",
        ),
    ],
)
def test_of_several_ways_to_write_a_setting_the_nearest_is_explained(setting: str, problem: str) -> None:
    assert problems(f"{{experiment: x, {setting}}}") == [problem]


# ---------------------------------------------------------------- secrets


def test_no_problem_repeats_a_secret_whatever_is_wrong_with_it() -> None:
    secret = "hunter2hunter2"
    text = f"""\
    experiment: "sk-{secret} "
    languages: {{api_key: {secret}}}
    methods:
      a: {{method: "${{{secret}}}", token: {secret}}}
      b: {{method: icl, num_fewshot: hf_{secret}, "sk-proj-{secret}": 1}}
    models:
      m: {{engine: openai, api_key_env: {secret}}}
      n: {{hub: null, path: null, password: {secret}}}
      o: {{hub: a/b, path: "sk-{secret}"}}
    steps: [{{max_steps: ["{secret}"]}}]
    """
    found = problems(text)
    assert len(found) == 9
    assert secret not in "\n".join(found)
    assert sum("«redacted»" in problem for problem in found) == 6


# ---------------------------------------------------------------- properties

VALID: dict[str, Any] = {
    "experiment": "x",
    "languages": ["en", "fr"],
    "methods": {
        "a": {"method": "dpo", "pairs": "p", "training": {"max_steps": 3}, "train_languages": ["en"]},
        "dpo": {"method": "icl", "from": "q"},
    },
    "one": {"method": "icl", "num_fewshot": 1},
    "models": {"m": {"hub": "a/b"}, "n": {"engine": "openai", "api_key_env": "KEY"}, "k": None},
    "item": {"column": "x", "pattern": "y"},
    "steps": [{"learning_rate": 0.1}, {"bf16": True}],
    "pair": [1, {}],
}
KEYS = st.sampled_from(
    [
        "method",
        "engine",
        "dpo",
        "icl",
        "Part",
        "str",
        "[key]",
        "hub",
        "token",
        "row_number",
        "x",
        "beeta",
        "literal['each','all']",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, "en", "dpo", "each", "", "a b", "sk-1", "é\u202e" * 40]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def broken_studies(draw: st.DrawFn) -> dict[str, Any]:
    study = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 4))):
        here: Any = study
        while True:
            key = (
                draw(st.sampled_from(list(here)) | KEYS)
                if isinstance(here, dict) and here
                else draw(st.sampled_from(range(len(here))))
            )
            inner = here.get(key) if isinstance(here, dict) else here[key]
            if not (isinstance(inner, dict | list) and inner) or draw(st.booleans()):
                break
            here = inner
        if draw(st.booleans()) and isinstance(here, dict):
            here.pop(key, None)
        else:
            here[key] = draw(VALUES)
    return study


def places(document: Document) -> set[tuple[int, int]]:
    return {
        (mark.line, mark.column) for marks in (document.marks, document.key_marks) for mark in marks.values()
    }


@settings(max_examples=300, deadline=None)
@given(broken_studies())
def test_whatever_is_wrong_is_reported_in_whole_lines_at_places_of_the_document(
    study: dict[str, Any],
) -> None:
    document = parse_yaml(yaml.safe_dump(study, sort_keys=False), "f")
    try:
        Study.model_validate(document.data)
    except ValidationError as error:
        raised = error
    else:
        return
    for model in (Study, None):
        found = explain(raised, document, model=model)
        assert found
        for problem in found:
            assert (problem.line, problem.column) in places(document)
            assert "\n" not in str(problem)
            assert not any(jargon in problem.message for jargon in ("Input", "valid ", "Value error", "sk-1"))
