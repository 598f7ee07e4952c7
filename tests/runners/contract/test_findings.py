"""Breaches of the prompt contract, found on real tokenizers before anything is generated or trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.data.records import Example
from dsl.data.source import FileSource
from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings as Served
from dsl.errors import DataError
from dsl.steps.prompt_forms import Demonstrations, PromptForm, TextPrompt
from dsl.steps.steps import DpoStep, GenerateStep, SftStep, Step
from dsl.steps.training_settings import Adapter, Training
from runners.contract.check import check
from runners.contract.findings import Finding, keep_findings, keys_of, read_findings
from runners.models.loading import Loaded, load, load_without_weights
from runners.store.store import Store
from tests.fixtures.tiny_study import (
    TINY,
    WEIGHTS,
    chat_form,
    data_folder,
    prompt_text,
    rows,
    text_at,
    text_form,
)
from tests.runners.checkpoints import BYTES, CHATML, llama, saved, tokenizer

ASKED, TRAINED, SHOWN = (f"data-{digit * 16}" for digit in "abc")
QUESTIONS = rows("questions", "en")


def found(folder: Path, step: Step, **examples: list[Example]) -> list[Finding]:
    """Check a step whose rows lie in a store: `asked`, `trained` and `shown`."""
    store = Store(folder / "store")
    names = {"asked": ASKED, "trained": TRAINED, "shown": SHOWN}
    given = {"asked": QUESTIONS, "trained": rows("instructions", "en"), "shown": [], **examples}
    for name, step_id in names.items():
        data_folder(store.step_folder(step_id), given[name])
        (store.step_folder(step_id) / "outcome.json").touch()
    data: dict[str, Any] = {step_id: Data() for step_id in names.values()}
    (findings,) = check({**data, "it": step}, ["it"], store, folder / "scratch").values()
    return list(findings)


class Data:
    """A data step that is done: nothing of it is read but its rows."""

    kind = "data"


def asks(form: PromptForm, weights: Weights = WEIGHTS, max_new_tokens: int = 16) -> GenerateStep:
    decoding = Decoding(max_new_tokens=max_new_tokens)
    return GenerateStep(model=weights, examples=ASKED, prompt=form, decoding=decoding)


def trains(form: PromptForm, weights: Weights = WEIGHTS, max_length: int = 256) -> SftStep:
    return SftStep(
        weights=weights,
        train=(TRAINED,),
        prompts=(form,),
        adapter=Adapter(),
        training=Training(max_length=max_length),
        seed=0,
    )


def test_what_is_not_on_this_machine_is_no_finding_and_a_library_that_fails_is_one_that_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    data_folder(store.step_folder(ASKED), QUESTIONS)
    (store.step_folder(ASKED) / "outcome.json").touch()
    steps: dict[str, Any] = {
        ASKED: Data(),
        "absent": asks(text_form("en"), Weights(path=str(tmp_path / "none"), sha256="0" * 64)),
        "lacking": asks(text_form("en"), Weights(package="weights-of-the-test", version="1.0")),
        "here": asks(text_form("en")),
    }
    keys = keys_of({name: step for name, step in steps.items() if name != ASKED})
    wanted = ["absent", "lacking", "here"]
    assert check(steps, wanted, store, tmp_path) == {keys["here"]: ()}

    def load(weights: Weights, cache: Path) -> Loaded:
        if weights.path != WEIGHTS.path:
            raise ImportError("no module einops")
        return load_without_weights(weights, cache)

    monkeypatch.setattr("runners.contract.check.load_without_weights", load)
    told = check(steps, wanted, store, tmp_path)
    assert "ImportError: no module einops" in messages(list(told[keys["absent"]]), "warning")
    keep_findings(store.cache, told)
    assert read_findings(store.cache) == {keys["here"]: ()}


def test_rows_with_faults_are_not_taken_for_none_by_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Faulty(Data):
        source = FileSource.model_construct()

        def run(self, *_: object) -> None:
            raise DataError("a row is none")

    monkeypatch.setattr("runners.contract.data_folders.DataStep", Faulty)
    monkeypatch.setattr("runners.contract.data_folders.is_here", lambda source: True)
    monkeypatch.setattr("runners.contract.data_folders.find_runner", lambda kind: Faulty())
    steps: dict[str, Any] = {ASKED: Faulty(), "a": asks(text_form("en")), "b": asks(chat_form())}
    assert check(steps, ["a", "b"], Store(tmp_path / "store"), tmp_path) == {}


def messages(findings: list[Finding], level: str) -> str:
    return "\n".join(one.message for one in findings if one.level == level)


@pytest.fixture(autouse=True)
def as_data_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.contract.data_folders.DataStep", Data)


def test_prompts_and_rows_that_fit_have_no_findings(tmp_path: Path) -> None:
    for number, step in enumerate((asks(text_form("en")), asks(chat_form()), trains(chat_form()))):
        assert found(tmp_path / str(number), step) == []


def test_a_model_without_its_weights_is_checked_as_with_them() -> None:
    whole, alone = load(WEIGHTS, None, TINY), load_without_weights(WEIGHTS, TINY)
    assert {name: getattr(alone, name) for name in ("eos_ids", "pad_id", "n_positions", "n_parameters")} == {
        name: getattr(whole, name) for name in ("eos_ids", "pad_id", "n_positions", "n_parameters")
    }
    assert all(weight.is_meta for weight in alone.model.parameters())


def test_a_stop_string_in_a_worked_example_or_in_a_reference_is_named(tmp_path: Path) -> None:
    text = yaml.safe_load((TINY / "prompts_en.yaml").read_text("utf-8"))
    text["demonstrations"][1]["answer"] = "It eats tofu.\n# Query: and then?"
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(text), "utf-8")
    asked = [QUESTIONS[0].model_copy(update={"reference": "Use\n```\ncode"}), *QUESTIONS[1:]]
    form = TextPrompt(text=text_at(path, "en"), num_fewshot=3)
    told = messages(found(tmp_path, asks(form), asked=asked), "warning")
    assert "1 of 3 worked examples hold the stop string '# Query', where an answer is cut: `en 2`" in told
    assert f"hold the stop string '```', where an answer is cut: `{asked[0].item}`" in told


def test_a_stop_string_in_a_pool_of_worked_examples_is_named(tmp_path: Path) -> None:
    pool = [
        row.model_copy(update={"response": f"{row.response} # Query"}) for row in rows("instructions", "en")
    ]
    form = TextPrompt(text=prompt_text("en"), num_fewshot=2, demonstrations=Demonstrations(pool=SHOWN))
    told = messages(found(tmp_path, asks(form), shown=pool), "warning")
    assert f"{len(pool)} of {len(pool)} worked examples hold the stop string '# Query'" in told


@pytest.mark.parametrize(("n_long", "level"), [(1, "warning"), (len(QUESTIONS), "error")])
def test_a_prompt_longer_than_the_context_is_an_error_where_it_is_that_of_most_rows(
    tmp_path: Path, n_long: int, level: str
) -> None:
    long = [row.model_copy(update={"instruction": "why " * 900}) for row in QUESTIONS[:n_long]]
    findings = found(tmp_path, asks(text_form("en")), asked=[*long, *QUESTIONS[n_long:]])
    said = f"{n_long} of {len(QUESTIONS)} prompts leave no room for an answer in the model's 1024 positions"
    assert said in messages(findings, level)


def test_a_prompt_that_leaves_its_answer_too_little_room_is_a_warning(tmp_path: Path) -> None:
    findings = found(tmp_path, asks(text_form("en"), max_new_tokens=1000))
    said = f"{len(QUESTIONS)} of {len(QUESTIONS)} prompts leave less room than `max_new_tokens` (1000)"
    assert said in messages(findings, "warning")


def test_a_prompt_that_does_not_fit_what_its_server_is_started_for_is_named_before(tmp_path: Path) -> None:
    served = Served(path=str(TINY), args={"max_model_len": 40})
    findings = found(tmp_path, asks(text_form("en"), served))
    n = len(QUESTIONS)
    said = f"{n} of {n} prompts leave no room for an answer in the model's 40 positions"
    assert said in messages(findings, "error")


def checkpoint(folder: Path, template: str, **named: str) -> Weights:
    special = ("<s>", "<|im_start|>", "<|im_end|>")
    named = {"bos_token": "<s>", "eos_token": "<|im_end|>", **named}
    made = tokenizer(*special, chat_template=template, **named)
    return Weights(path=str(saved(folder, llama(BYTES + 3), made)))


def test_a_template_without_a_generation_prompt_is_an_error(tmp_path: Path) -> None:
    bare = CHATML.partition("{% if add_generation_prompt %}")[0]
    wrong = found(tmp_path / "a", asks(chat_form(), checkpoint(tmp_path / "bare", bare)))
    assert "no generation prompt: it writes '<|im_start|>assistant\\n' before an answer" in messages(
        wrong, "error"
    )
    assert found(tmp_path / "b", asks(chat_form(), checkpoint(tmp_path / "whole", CHATML))) == []


def test_a_template_that_ends_a_question_and_begins_no_answer_needs_no_generation_prompt(
    tmp_path: Path,
) -> None:
    """Llama 2 and Mistral: `[INST] … [/INST]`, then the answer."""
    inst = (
        "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }}<|im_end|>{% endif %}{% endfor %}"
    )
    assert found(tmp_path, asks(chat_form(), checkpoint(tmp_path / "model", inst))) == []


def test_a_second_beginning_of_sequence_is_an_error(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    def model(name: str, template: str) -> Weights:
        made = tokenizer("<s>", "<|im_end|>", bos_token="<s>", eos_token="<|im_end|>", chat_template=template)
        made.backend_tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", BYTES)]
        )
        return Weights(path=str(saved(tmp_path / name, llama(BYTES + 2), made)))

    body = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    assert found(tmp_path / "a", asks(chat_form(), model("one", "<s>" + body))) == []
    twice = found(tmp_path / "b", asks(chat_form(), model("two", "<s><s>" + body)))
    assert "beginning-of-sequence token twice" in messages(twice, "error")
    apart = found(tmp_path / "c", asks(chat_form(), model("apart", "<s>" + body + "<s>")))
    assert "hold the beginning-of-sequence token more than once, or not at all" in messages(apart, "error")


def test_a_prompt_that_ends_within_a_token_of_its_answer_is_a_warning(tmp_path: Path) -> None:
    """A tokenizer in which a line break and a letter are one token."""
    from tokenizers import Tokenizer

    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    made = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    made["pre_tokenizer"], made["model"]["merges"] = (
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        [["Ċ", "I"], *made["model"]["merges"]],
    )
    made["model"]["vocab"]["ĊI"] = made["model"]["vocab"].pop(
        made["model"]["merges"][-1][0] + made["model"]["merges"][-1][1]
    )
    made["model"]["merges"].pop()
    Tokenizer.from_str(json.dumps(made)).save(str(folder / "tokenizer.json"))
    asked = [row.model_copy(update={"reference": "It eats."}) for row in QUESTIONS]
    told = messages(found(tmp_path, asks(text_form("en"), Weights(path=str(folder))), asked=asked), "warning")
    assert f"{len(asked)} of {len(asked)} prompts end within a token" in told


def test_a_training_row_cut_by_max_length_is_a_warning_and_all_of_them_an_error(tmp_path: Path) -> None:
    trained = rows("instructions", "en")
    long = trained[0].model_copy(update={"response": "very " * 200})
    one = found(tmp_path / "a", trains(chat_form()), trained=[long, *trained[1:]])
    assert f"1 of {len(trained)} training rows are longer than `max_length` (256 tokens)" in messages(
        one, "warning"
    )
    assert messages(one, "error") == ""
    every = found(tmp_path / "b", trains(chat_form(), max_length=24), trained=[long, long])
    assert "the labels of no training row hold the end of an answer" in messages(every, "error")
    full = found(tmp_path / "c", trains(text_form("en"), max_length=8))
    assert "no row to train on" in messages(full, "error")


def test_training_tokens_in_the_cache_that_are_not_those_of_generation_are_an_error(tmp_path: Path) -> None:
    step = trains(chat_form())
    assert found(tmp_path, step) == []
    (cached,) = (tmp_path / "store" / "cache" / "tokens").glob("*.jsonl")
    lines = [json.loads(line) for line in cached.read_text("utf-8").splitlines()]
    for line in lines[:1]:
        line["prompt_ids"][-1] += 1
    cached.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert "have a prompt that generation would put otherwise" in messages(found(tmp_path, step), "error")


def test_pairs_of_dpo_are_checked_with_both_answers(tmp_path: Path) -> None:
    pairs = rows("preferences", "en")
    same = pairs[0].model_copy(update={"rejected": pairs[0].chosen})
    step = DpoStep(
        weights=WEIGHTS,
        pairs=(TRAINED,),
        prompts=(chat_form(),),
        adapter=Adapter(),
        training=Training(max_length=256),
        seed=0,
    )
    told = messages(found(tmp_path, step, trained=[same, *pairs[1:]]), "warning")
    assert told == f"1 of {len(pairs)} training rows are dropped: their answers are equal"


def test_steps_that_differ_in_what_no_prompt_hangs_on_share_their_findings() -> None:
    one = asks(text_form("en"))
    other = one.model_copy(
        update={"tuned": "sft-" + "0" * 16, "decoding": Decoding(max_new_tokens=16, top_k=3)}
    )
    sft = trains(chat_form())
    faster = sft.model_copy(update={"training": Training(max_length=256, learning_rate=1.0)})
    shorter = sft.model_copy(update={"training": Training(max_length=128)})
    keys = keys_of({"a": one, "b": other, "c": sft, "d": faster, "e": shorter})
    assert keys["a"] == keys["b"]
    assert keys["c"] == keys["d"]
    assert len(set(keys.values())) == 3
