import os
from pathlib import Path

import pytest

from dsl.data.records import Outcome
from dsl.engines.contract import Decoding
from dsl.engines.echo import Settings as Echo
from dsl.engines.transformers import Weights
from dsl.judges.contains import Settings as Contains
from dsl.judges.empty import Settings as Empty
from dsl.judges.rubric import Settings as Rubric
from dsl.steps.identity import judge_key, step_id
from dsl.steps.prompt_forms import ChatPrompt
from dsl.steps.steps import GenerateStep, ItemSlice, JudgeStep, ReferenceLogpsStep, Step
from runners.store import reusable_rows as module
from runners.store.reusable_rows import ReuseIndex
from runners.store.store import Store

CHAT = ChatPrompt(template="0" * 64)
OTHER_CHAT = ChatPrompt(template="1" * 64)
RUBRIC = Rubric.model_validate({"model": {"engine": "echo"}})


def generate(
    data: int,
    *,
    prompt: ChatPrompt = CHAT,
    tokens: int = 8,
    temperature: float = 0.0,
    tuned: str | None = None,
) -> GenerateStep:
    return GenerateStep(
        model=Echo(),
        tuned=tuned,
        examples=f"data-{data:016x}",
        prompt=prompt,
        decoding=Decoding(max_new_tokens=tokens, temperature=temperature),
        seed=0 if temperature else None,
    )


def judge(answers: Step, settings: Contains | Empty | Rubric | None = None) -> JudgeStep:
    settings = settings or Contains()
    return JudgeStep(
        judges={judge_key(settings): settings}, answers=step_id(answers), examples="data-0000000000000000"
    )


def put(store: Store, *steps: Step, is_done: bool = True) -> None:
    for age, step in enumerate(steps):
        with store.begin(step_id(step), step):
            if is_done:
                store.finish(step_id(step), Outcome(step_id=step_id(step), seconds=0.0))
        folder = store.step_folder(step_id(step)) if is_done else store.unfinished_folder(step_id(step))
        os.utime(folder, (age, age))


def named(store: Store, step: Step) -> list[str]:
    return [*ReuseIndex(store).steps_for(step_id(step), step)]


def test_an_empty_store_has_nothing_to_reuse(tmp_path: Path) -> None:
    assert named(Store(tmp_path / "no"), generate(1)) == []


def test_steps_that_ask_the_same_model_in_the_same_way_are_reused_whatever_their_length_limit(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    alike = [generate(1), generate(2), generate(1, tokens=4)]
    others = [generate(1, temperature=0.5), generate(1, tuned="sft-0000000000000000"), judge(generate(1))]
    put(store, *alike, *others)
    assert set(named(store, generate(3))) == {step_id(step) for step in alike}


def test_a_step_does_not_look_in_its_own_folder(tmp_path: Path) -> None:
    put(Store(tmp_path), generate(1), is_done=False)
    assert named(Store(tmp_path), generate(1)) == []


def test_those_with_the_same_prompt_come_first_and_the_newest_of_them_before_all(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, generate(1), generate(2), generate(3, prompt=OTHER_CHAT))
    assert named(store, generate(4)) == [
        step_id(step) for step in (generate(2), generate(1), generate(3, prompt=OTHER_CHAT))
    ]


def test_unfinished_attempts_are_reused_unless_they_are_being_written(tmp_path: Path) -> None:
    store, unfinished = Store(tmp_path), generate(1)
    put(store, unfinished, is_done=False)
    assert named(store, generate(2)) == [step_id(unfinished)]
    assert (
        ReuseIndex(store).steps_for(step_id(generate(2)), generate(2), busy=frozenset({step_id(unfinished)}))
        == ()
    )


def test_models_that_judge_in_one_way_are_reused_and_those_of_the_same_model_s_answers_come_first(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    same, other = generate(1), generate(2, prompt=OTHER_CHAT)
    put(store, same, other, generate(3), judge(same), judge(other), judge(same, RUBRIC))
    assert named(store, judge(generate(3))) == [step_id(judge(same)), step_id(judge(other))]
    assert named(store, judge(generate(3), RUBRIC)) == [step_id(judge(same, RUBRIC))]


def test_steps_of_judges_by_rule_are_reused_whichever_judges_they_have(tmp_path: Path) -> None:
    store, answers = Store(tmp_path), generate(1)
    put(store, answers, judge(answers))
    assert named(store, judge(answers, Empty())) == [step_id(judge(answers))]


def test_a_step_that_ended_since_is_reused_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reuse_from = ReuseIndex(store)
    put(store, generate(1))
    assert reuse_from.steps_for(step_id(generate(2)), generate(2)) == ()
    reuse_from.add(step_id(generate(1)), generate(1))
    assert reuse_from.steps_for(step_id(generate(2)), generate(2)) == (step_id(generate(1)),)


def test_a_step_of_a_version_that_would_give_other_results_is_not_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    put(store, generate(1))
    monkeypatch.setattr(GenerateStep, "VERSION", 2)
    assert named(store, generate(2)) == []


def test_a_folder_whose_settings_cannot_be_read_is_not_reused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, generate(1))
    (store.step_folder(step_id(generate(1))) / "step.json").write_text('{"kind": "generate", "of_old": 1}')
    (store.steps / "generate-0000000000000000.tmp").mkdir()
    assert named(store, generate(2)) == []


def test_of_a_great_many_alike_only_the_newest_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    store = Store(tmp_path)
    put(store, *(generate(number) for number in range(5)))
    assert named(store, generate(9)) == [step_id(generate(4)), step_id(generate(3))]


def test_a_judge_of_slices_put_together_looks_first_at_those_of_every_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    store, plain = Store(tmp_path), generate(1)
    slices = [
        plain.model_copy(update={"items": ItemSlice(number=number, of=4, seed=0)}) for number in range(1, 5)
    ]
    whole = plain.model_copy(update={"slices": tuple(step_id(one) for one in slices)})
    put(store, *slices, *(judge(one) for one in slices), whole, judge(slices[0], RUBRIC))
    assert named(store, judge(whole)) == [step_id(judge(one)) for one in slices]


def reference(
    *, rows: int | None = None, seed: int | None = None, prompt: ChatPrompt = CHAT, revision: str = "1"
) -> ReferenceLogpsStep:
    weights = Weights(hub="a/base", revision=revision)
    return ReferenceLogpsStep(
        weights=weights,
        pairs=("data-0000000000010001",),
        rows=rows,
        prompts=(prompt,),
        max_length=64,
        bf16=False,
        seed=seed,
    )


def test_reference_steps_of_the_same_model_are_reused_whichever_pairs_they_draw(tmp_path: Path) -> None:
    store = Store(tmp_path)
    alike = [reference(rows=5, seed=0), reference(rows=5, seed=1), reference(prompt=OTHER_CHAT)]
    put(store, *alike, reference(revision="2"), generate(1))
    assert set(named(store, reference())) == {step_id(step) for step in alike}


def test_a_step_that_another_apply_moves_while_steps_are_listed_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "generate-0000000000000000.tmp").symlink_to("moved")
    step = generate(1)
    assert ReuseIndex(Store(tmp_path)).steps_for(step_id(step), step) == ()
