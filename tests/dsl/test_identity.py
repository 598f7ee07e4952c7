"""Every field of every step counts in its id, or stands on the short list of those that cannot change a result."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.engines import AnyEngine
from dsl.identity import NOT_COUNTED, Canonical, class_name, digest, judge_key, step_id
from dsl.judges import AnyJudge
from dsl.models import Adapter, Decoding, Training, Weights
from dsl.plugins import names, settings_of
from dsl.sources import Columns, FileSource, HubSource
from dsl.steps import ChatPrompt, DataStep, Demonstrations, DpoStep, GenerateStep, JudgeStep, PromptText, SftStep, Step, TextPrompt
from dsl.values import Value
from runners.judges._rubric import RubricFile

SHA = "ab" * 32
DATA, OTHER, TUNED, ANSWERS = "data-0123456789ab", "data-ba9876543210", "sft-0123456789ab", "generate-0123456789ab"
WEIGHTS = Weights(hub="some/model", revision="abc")
TEXT = PromptText(language="en", path="prompt.yaml", sha256=SHA)
PROMPT = TextPrompt(
    text=TEXT,
    demonstrations_text=PromptText(language="fr", sha256=SHA),
    demonstrations=Demonstrations(pool=DATA, keep_out=(OTHER,)),
)
CHAT = ChatPrompt(system=TEXT, template=SHA)
NEEDED: dict[str, dict[str, Any]] = {
    "recorded": {
        "verdicts": {"path": "v.csv", "sha256": SHA, "format": "csv"},
        "columns": {"item": "id", "scores": {"clarity": "c"}},
    },
    "decision": {"model": WEIGHTS},
    "ensemble": {"of": ("a", "b")},
    "pairwise": {"model": WEIGHTS, "against": "a"},
    "reward": {"model": WEIGHTS},
    "rubric": {"model": WEIGHTS},
}
"""Judge -> the settings it cannot do without."""

STEPS: list[Step] = [
    DataStep(source=FileSource(path="a.jsonl", sha256=SHA, format="jsonl"), columns=Columns(item="id", instruction="q"), language="en"),
    DataStep(source=HubSource(hub="a/b", split="test"), columns=Columns(instruction="q"), language="en"),
    SftStep(weights=WEIGHTS, train=(DATA,), prompts=(CHAT,), adapter=Adapter(), training=Training(), seed=0),
    DpoStep(weights=WEIGHTS, policy=TUNED, pairs=(DATA,), prompts=(PROMPT,), adapter=Adapter(), training=Training(), seed=0),
    GenerateStep(model=WEIGHTS, tuned=TUNED, examples=DATA, prompt=PROMPT, decoding=Decoding(), seed=0),
    GenerateStep(model=settings_of("engines", "openai")(name="m", base_url="http://a/v1"), examples=DATA, prompt=CHAT, decoding=Decoding()),
    GenerateStep(
        model=settings_of("engines", "recorded")(
            answers=FileSource(path="a.jsonl", sha256=SHA, format="jsonl"), columns=Columns(item="id", response="a")
        ),
        examples=DATA,
        prompt=None,
        decoding=Decoding(),
    ),
    GenerateStep(model=settings_of("engines", "echo")(), examples=DATA, prompt=CHAT, decoding=Decoding()),
    *(
        JudgeStep(judges={judge_key(judge): judge}, answers=ANSWERS, examples=DATA)
        for judge in (
            *(settings_of("judges", name)(**NEEDED.get(name, {})) for name in names("judges")),
            settings_of("judges", "decision")(model={"engine": "systemone", "name": "m", "base_url": "http://a"}),
            settings_of("judges", "rubric")(model=WEIGHTS, rubric=RubricFile(file="mine.yaml", sha256=SHA)),
        )
    ),
]


def other(value: Any) -> Any:
    """A value of the same sort that differs."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case None:
            return "something"
        case tuple():
            return (*value, "more")
        case dict():
            return {**value, "more": "x"}
    raise AssertionError(f"no other value for {value!r}")


def mutations(value: Value, at: str = "") -> Iterator[tuple[str, str, Value]]:
    """(place, `Class.field`, the value with that one field changed), for every field at any depth."""
    for name in type(value).model_fields:
        found = getattr(value, name)
        if isinstance(found, Value):
            for place, field, changed in mutations(found, f"{at}.{name}"):
                yield place, field, value.model_copy(update={name: changed})
        elif isinstance(found, tuple) and found and isinstance(found[0], Value):
            for place, field, changed in mutations(found[0], f"{at}.{name}[0]"):
                yield place, field, value.model_copy(update={name: (changed, *found[1:])})
        elif isinstance(found, dict) and found and isinstance(first := next(iter(found.values())), Value):
            for place, field, changed in mutations(first, f"{at}.{name}[0]"):
                yield place, field, value.model_copy(update={name: {**found, next(iter(found)): changed}})
        else:
            yield f"{at}.{name}", f"{class_name(type(value))}.{name}", value.model_copy(update={name: other(found)})


@pytest.mark.parametrize(
    "step",
    STEPS,
    ids=lambda step: f"{step.kind}-{step.affinity or ' '.join(judge.judge for judge in getattr(step, 'judges', {}).values())}",
)
def test_every_field_of_every_step_makes_a_new_id_or_is_listed_as_not_counted(step: Step) -> None:
    before = step_id(step)
    for place, field, changed in mutations(step):
        cls, name = field.rsplit(".", 1)
        is_new = step_id(changed) != before  # type: ignore[arg-type]
        assert is_new != (name in NOT_COUNTED.get(cls, frozenset())), f"{step.kind}{place}"


def test_every_class_of_a_step_s_parts_is_mutated_by_the_test_above() -> None:
    mutated = {field.rsplit(".", 1)[0] for step in STEPS for _, field, _ in mutations(step)}
    engines = {class_name(cls) for cls in get_args(get_args(AnyEngine)[0])}
    judges = {class_name(cls) for cls in get_args(get_args(AnyJudge)[0])}
    assert engines | judges | set(NOT_COUNTED) <= mutated


def test_every_name_on_the_list_of_fields_not_counted_is_a_field() -> None:
    fields = {field for step in STEPS for _, field, _ in mutations(step)}
    assert {f"{cls}.{name}" for cls, left_out in NOT_COUNTED.items() for name in left_out} <= fields


def test_a_new_version_of_a_kind_makes_new_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    before = step_id(STEPS[0])
    monkeypatch.setattr(DataStep, "VERSION", DataStep.VERSION + 1)
    assert step_id(STEPS[0]) != before


def test_ids_are_the_same_in_every_process_and_release() -> None:
    """A golden id: if it changes, every result of every user is made again, and CHANGELOG.md says why."""
    step = DataStep(source=HubSource(hub="a/b", split="test"), columns=Columns(item="id", instruction="q"), language="en")
    assert step_id(step) == "data-32e44c2700c5"


def test_a_step_read_back_from_json_has_the_same_id() -> None:
    for step in STEPS:
        assert step_id(type(step).model_validate_json(step.model_dump_json())) == step_id(step)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(st.dictionaries(st.text(), JSON))
def test_the_order_of_keys_does_not_count(data: dict[str, Any]) -> None:
    assert digest(data) == digest(dict(reversed(data.items())))


@given(JSON, JSON)
def test_different_data_have_different_canonical_text(a: Any, b: Any) -> None:
    def shape(value: Any) -> Any:  # 1, True and 1.0 are equal in Python and not in JSON
        if isinstance(value, list):
            return [shape(v) for v in value]
        if isinstance(value, dict):
            return {k: shape(v) for k, v in value.items()}
        return (type(value).__name__, value)

    assert (Canonical().text(a) == Canonical().text(b)) == (shape(a) == shape(b))
