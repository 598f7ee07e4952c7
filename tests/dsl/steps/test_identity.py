"""Every field of every step counts in its id, or stands on the short list of those that cannot change a
result."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.source import Columns, FileSource, HubSource
from dsl.engines import AnyEngine
from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.judges import AnyJudge
from dsl.judges._rubric import RubricFile
from dsl.plugins import names, settings_of
from dsl.spec.resources import KINDS
from dsl.steps.identity import (
    NOT_COUNTED,
    NOT_COUNTED_WHERE,
    Canonical,
    class_name,
    digest,
    judge_key,
    step_id,
)
from dsl.steps.prompt_forms import ChatPrompt, Demonstrations, PromptText, TextPrompt
from dsl.steps.steps import (
    DataStep,
    DpoStep,
    GenerateStep,
    ItemSlice,
    Judged,
    JudgeStep,
    PairsStep,
    ReferenceLogpsStep,
    SelectStep,
    SequentialTestStep,
    SftStep,
    Step,
)
from dsl.steps.stopping import StopWhen
from dsl.steps.training_settings import Adapter, HeldOut, Training
from dsl.steps.training_steps import KtoStep, OrpoStep, SimpoStep
from dsl.values import Value

SHA = "ab" * 32
DATA, OTHER, TUNED, ANSWERS = (
    "data-0123456789ab89ab",
    "data-ba98765432103210",
    "sft-0123456789ab89ab",
    "generate-0123456789ab89ab",
)
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
        "verdicts": {"path": "v.csv"},
        "source": {"path": "v.csv", "sha256": SHA, "format": "csv"},
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
    DataStep(
        source=FileSource(path="a.jsonl", sha256=SHA, format="jsonl"),
        columns=Columns(item="id", instruction="q"),
        language="en",
    ),
    DataStep(source=HubSource(hub="a/b", split="test"), columns=Columns(instruction="q"), language="en"),
    SftStep(weights=WEIGHTS, train=(DATA,), prompts=(CHAT,), adapter=Adapter(), training=Training(), seed=0),
    DpoStep(
        weights=WEIGHTS,
        policy=TUNED,
        pairs=(DATA,),
        prompts=(PROMPT,),
        adapter=Adapter(),
        training=Training(),
        seed=0,
    ),
    GenerateStep(model=WEIGHTS, tuned=TUNED, examples=DATA, prompt=PROMPT, decoding=Decoding(), seed=0),
    GenerateStep(
        model=settings_of("engines", "openai")(name="m", base_url="http://a/v1"),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
    ),
    GenerateStep(
        model=settings_of("engines", "openai")(name="m", revision="1"),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
    ),
    GenerateStep(
        model=settings_of("engines", "openai")(name="m", server="a:1"),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
    ),
    GenerateStep(
        model=settings_of("engines", "vllm")(
            path="m", args={"max_model_len": 1}, counted_args={"max_model_len": 1}
        ),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
    ),
    GenerateStep(
        model=WEIGHTS.model_copy(update={"dtype": "bfloat16", "batch_size": 8}),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
        seed=0,
    ),
    ReferenceLogpsStep(
        weights=WEIGHTS, policy=TUNED, pairs=(DATA,), prompts=(CHAT,), max_length=9, bf16=True, seed=0
    ),
    GenerateStep(
        model=settings_of("engines", "recorded")(
            answers=FileSource(path="a.jsonl", sha256=SHA, format="jsonl"),
            columns=Columns(item="id", response="a"),
        ),
        examples=DATA,
        prompt=None,
        decoding=Decoding(),
    ),
    GenerateStep(
        model=settings_of("engines", "vllm")(hub="some/model", revision="abc"),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
    ),
    GenerateStep(
        model=settings_of("engines", "llama_cpp")(
            path="m", args={"ctx_size": 1, "threads": 1}, counted_args={"ctx_size": 1}
        ),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
    ),
    GenerateStep(model=settings_of("engines", "echo")(), examples=DATA, prompt=CHAT, decoding=Decoding()),
    *(
        JudgeStep(judges={judge_key(judge): judge}, answers=ANSWERS, examples=DATA)
        for judge in (
            *(settings_of("judges", name)(**NEEDED.get(name, {})) for name in names("dsl.judges")),
            settings_of("judges", "decision")(
                model={"engine": "systemone", "name": "m", "base_url": "http://a"}
            ),
            settings_of("judges", "rubric")(model=WEIGHTS, rubric=RubricFile(file="mine.yaml", sha256=SHA)),
        )
    ),
    DataStep(source=HubSource(hub="./a", split="test", sha256=SHA), columns=Columns(), language="en"),
    SftStep(
        weights=WEIGHTS,
        train=(DATA,),
        prompts=(CHAT,),
        adapter=Adapter(),
        training=Training(),
        validation=HeldOut(rows=0.1),
        seed=0,
    ),
    SelectStep(trials={"beta: 0.1": TUNED}),
    GenerateStep(
        model=settings_of("engines", "echo")(),
        examples=DATA,
        prompt=CHAT,
        decoding=Decoding(),
        items=ItemSlice(number=2, of=3, seed=0, unless=ANSWERS),
        slices=(ANSWERS,),
    ),
    SequentialTestStep(
        rule=StopWhen(contrast="gain", excludes=0),
        alpha=0.05,
        aspect="contains",
        scale=(0.0, 1.0),
        of=(Judged(step=ANSWERS, judge="contains-0123456789abcdef"),),
        against=(Judged(step=TUNED, judge="contains-0123456789abcdef"),),
    ),
    *(
        trainer(
            weights=WEIGHTS,
            policy=TUNED,
            pairs=(DATA,),
            prompts=(CHAT,),
            adapter=Adapter(),
            training=Training(),
            seed=0,
        )
        for trainer in (KtoStep, OrpoStep, SimpoStep)
    ),
    PairsStep(
        examples=DATA,
        samples=(ANSWERS,),
        verdicts=(Judged(step=TUNED, judge="length-0123456789abcdef"),),
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


def not_counted(value: Value) -> frozenset[str]:
    """The fields of a value that are listed as not counted."""
    name = class_name(type(value))
    return NOT_COUNTED.get(name, frozenset()) | NOT_COUNTED_WHERE.get(name, lambda fields: frozenset())(
        value.__dict__
    )


def mutations(value: Value, at: str = "") -> Iterator[tuple[str, str, bool, Value]]:
    """(place, `Class.field`, is it counted, the value with that one field changed), for every field at any
    depth."""
    for name in type(value).model_fields:
        found = getattr(value, name)
        if isinstance(found, Value):
            for place, field, is_counted, changed in mutations(found, f"{at}.{name}"):
                yield (
                    place,
                    field,
                    is_counted and name not in not_counted(value),
                    value.model_copy(update={name: changed}),
                )
        elif isinstance(found, tuple) and found and isinstance(found[0], Value):
            for place, field, is_counted, changed in mutations(found[0], f"{at}.{name}[0]"):
                whole = value.model_copy(update={name: (changed, *found[1:])})
                yield place, field, is_counted and name not in not_counted(value), whole
        elif isinstance(found, dict) and found and isinstance(first := next(iter(found.values())), Value):
            for place, field, is_counted, changed in mutations(first, f"{at}.{name}[0]"):
                whole = value.model_copy(update={name: {**found, next(iter(found)): changed}})
                yield place, field, is_counted and name not in not_counted(value), whole
        else:
            is_counted = name not in not_counted(value)
            yield (
                f"{at}.{name}",
                f"{class_name(type(value))}.{name}",
                is_counted,
                value.model_copy(update={name: other(found)}),
            )


WHY_NOT = {
    "FileSource.path": "its content counts",
    "FileSource.files": "the digest over theirs counts",
    "FileSource.url": "its content counts",
    "HubSource.hub": "of a folder the content counts",
    "PromptText.path": "its content counts",
    "RubricFile.file": "its content counts",
    "RubricFile.levels": "its content counts",
    "recorded.Settings.verdicts": "its content counts",
    "recorded.Settings.score_range": "says what scores mean, not which they are",
    "recorded.Settings.people": "says whose the scores are, not which",
    "recorded.Settings.rule": "says whose the scores are, not which",
    "Weights.path": "the content of the folder counts",
    "Weights.accept_license": "whether it may be used, not what it says",
    "Weights.batch_size": "in float32, greedy tokens do not depend on the batch",
    "vllm.Settings.path": "the content of the folder counts",
    "vllm.Settings.accept_license": "whether it may be used, not what it says",
    "vllm.Settings.batch_size": "how fast",
    "vllm.Settings.args": "those that change results count",
    "vllm.Settings.base_url": "where the weights are served",
    "vllm.Settings.api_key_env": "who may ask",
    "vllm.Settings.lora_rank": "which adapters a server has room for, not what they say",
    "llama_cpp.Settings.path": "the content of the folder counts",
    "llama_cpp.Settings.accept_license": "whether it may be used, not what it says",
    "llama_cpp.Settings.batch_size": "how fast",
    "llama_cpp.Settings.args": "those that change results count",
    "openai.Settings.base_url_env": "host and port that it holds count",
    "openai.Settings.api_key_env": "who pays",
    "openai.Settings.max_concurrency": "how fast",
    "openai.Settings.timeout": "how patient",
    "openai.Settings.max_retries": "how patient",
    "openai.Settings.usd_per_million_prompt_tokens": "what it costs",
    "openai.Settings.usd_per_million_new_tokens": "what it costs",
    "openai.Settings.batch": "when and for how much the same requests are answered",
    "openai.Settings.base_url": "where a revision says what is served",
    "openai.Settings.server": "where a revision says what is served",
    "StopWhen.contrast": "its name alone",
    "SystemOne.base_url_env": "host and port that it holds count",
    "SystemOne.api_key_env": "who pays",
    "SystemOne.max_concurrency": "how fast",
    "SystemOne.timeout": "how patient",
    "SystemOne.max_retries": "how patient",
    "SystemOne.usd_per_million_prompt_tokens": "what it costs",
    "SystemOne.base_url": "where a revision says what is served",
    "SystemOne.server": "where a revision says what is served",
    "Training.save_steps": "from where a killed run goes on",
    "Training.report_to": "where the same metrics are shown, too",
}
"""Field that does not count -> the reason. Said a second time here, so that no field gets on the list by an
oversight."""


def test_only_fields_with_a_reason_do_not_count() -> None:
    always = {f"{cls}.{name}" for cls, left_out in NOT_COUNTED.items() for name in left_out}
    at_times = {
        f"{class_name(type(one))}.{name}"
        for step in STEPS
        for one in parts(step)
        for name in not_counted(one)
    }
    assert always | at_times | {"SystemOne.base_url", "SystemOne.server"} == set(WHY_NOT)


def judges_of(step: Step) -> list[str]:
    """A judge step's judges, by their kinds in a spec."""
    return [judge.judge for judge in step.judges.values()] if isinstance(step, JudgeStep) else []


def parts(value: Any) -> Iterator[Value]:
    """A value and all values in it."""
    if isinstance(value, Value):
        yield value
        for name in type(value).model_fields:
            yield from parts(getattr(value, name))
    elif isinstance(value, tuple | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from parts(one)


@pytest.mark.parametrize(
    "step",
    STEPS,
    ids=lambda step: (
        f"{step.kind}-{step.affinity or ' '.join(one.judge for one in getattr(step, 'judges', {}).values())}"
    ),
)
def test_every_field_of_every_step_makes_a_new_id_or_is_listed_as_not_counted(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a kind that is none has no code
    monkeypatch.setattr("dsl.steps.identity.fingerprint", lambda *modules: " ".join(modules))
    before = step_id(step)
    for place, _, is_counted, changed in mutations(step):
        assert (step_id(changed) != before) == is_counted, f"{step.kind}{place}"  # type: ignore[arg-type]


def test_every_class_of_a_step_s_parts_is_mutated_by_the_test_above() -> None:
    mutated = {field.rsplit(".", 1)[0] for step in STEPS for _, field, _, _ in mutations(step)}
    engines = {class_name(cls) for cls in get_args(get_args(AnyEngine)[0])}
    judges = {class_name(cls) for cls in get_args(get_args(AnyJudge)[0])}
    assert engines | judges | set(NOT_COUNTED) | set(NOT_COUNTED_WHERE) <= mutated
    assert {step.kind for step in STEPS} == set(KINDS)


def test_every_name_on_the_list_of_fields_not_counted_is_a_field() -> None:
    values = [one for step in STEPS for one in parts(step)]
    fields = {f"{class_name(type(one))}.{name}" for one in values for name in type(one).model_fields}
    assert {f"{cls}.{name}" for cls, left_out in NOT_COUNTED.items() for name in left_out} <= fields


def test_a_new_version_of_a_kind_or_of_a_judge_that_asks_a_model_makes_new_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rubric = next(step for step in STEPS if "rubric" in judges_of(step))
    for step, versioned in (
        (STEPS[2], SftStep),
        (STEPS[3], DpoStep),
        (STEPS[4], GenerateStep),
        (rubric, settings_of("judges", "rubric")),
    ):
        before = step_id(step)
        monkeypatch.setattr(versioned, "VERSION", versioned.VERSION + 1)
        assert step_id(step) != before


def test_code_counts_in_data_pairs_recorded_answers_and_judges_by_rule_and_in_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = [step_id(step) for step in STEPS]
    monkeypatch.setattr("dsl.steps.identity.fingerprint", lambda *modules: "of other code")
    by_code = [step for step, was in zip(STEPS, before, strict=True) if step_id(step) != was]
    by_rule = {name for step in by_code for name in judges_of(step)}
    assert {step.kind for step in by_code} == {"data", "pairs", "generate", "judge"}
    assert [step.model.engine for step in by_code if isinstance(step, GenerateStep)] == ["recorded"]
    assert set(names("dsl.judges")) - by_rule == {"decision", "pairwise", "reward", "rubric"}


def test_a_named_batch_size_counts_in_half_precision_and_an_automatic_one_is_none() -> None:
    def sized(dtype: str, batch_size: int | None) -> str:
        return digest(WEIGHTS.model_copy(update={"dtype": dtype, "batch_size": batch_size}))

    assert sized("float32", 8) == sized("float32", 16) == sized("float32", None)
    for half in ("bfloat16", "float16"):
        assert len({sized(half, 8), sized(half, 16), sized(half, None)}) == 3


def test_two_steps_that_share_an_id_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsl.steps.identity.N_DIGITS", 1)
    canonical = Canonical()
    steps = [STEPS[0].model_copy(update={"limit": n}) for n in range(40)]
    with pytest.raises(DataError, match="share the name data-"):
        _ = [canonical.step_id(step) for step in steps]


def test_a_step_that_comes_twice_has_its_id_twice() -> None:
    canonical = Canonical()
    assert canonical.step_id(STEPS[0]) == canonical.step_id(STEPS[0].model_copy()) == step_id(STEPS[0])


def test_every_step_counts_its_code_or_has_a_version() -> None:
    for step in STEPS:
        for counted in step.judges.values() if isinstance(step, JudgeStep) else [step]:
            assert bool(getattr(counted, "counted_code", ())) != hasattr(counted, "VERSION"), counted


def test_a_step_read_back_from_json_has_the_same_id() -> None:
    for step in STEPS:
        assert step_id(type(step).model_validate_json(step.model_dump_json())) == step_id(step)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
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
