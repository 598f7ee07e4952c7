"""Prompts as servers render them, on real HTTP servers that tokenise as vLLM and llama.cpp's server do, and
the same prompts as the weights of that name are asked and trained here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsl.engines.openai import Settings
from dsl.engines.transformers import Weights
from dsl.judges.rubric import Settings as Rubric
from dsl.steps.prompt_forms import PromptForm
from dsl.steps.steps import GenerateStep, JudgeStep, Step
from runners.contract.check import compare
from runners.contract.findings import Finding
from runners.contract.rendering import weights_named
from runners.contract.served import check_served
from runners.store.store import Store
from tests.fixtures.tiny_study import chat_form, data_folder, rows, text_form
from tests.runners.checkpoints import BYTES, CHATML, llama, saved, tokenizer
from tests.runners.contract.test_findings import ASKED, TRAINED, Data, asks, trains
from tests.runners.engines.fake_server import Said, chat, serving

THINKING = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>{% endif %}")
BARE = CHATML.partition("{% if add_generation_prompt %}")[0]
Answer = Callable[[dict[str, Any]], Said]


def chatml(template: str | None) -> Any:
    return tokenizer(
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", chat_template=template, eos_token="<|im_end|>"
    )


def vllm(reads: Any) -> tuple[Answer, None]:
    """`POST /tokenize` of a text, or of messages."""

    def tokenize(body: dict[str, Any]) -> Said:
        if "prompt" in body:
            ids = reads.encode(body["prompt"], add_special_tokens=body["add_special_tokens"])
        elif reads.chat_template is None:
            return Said({"error": {"message": "you must provide a chat template", "code": 400}}, 400)
        else:
            opens = body["add_generation_prompt"]
            text = reads.apply_chat_template(body["messages"], add_generation_prompt=opens, tokenize=False)
            ids = reads.encode(text, add_special_tokens=False)
        return Said({"count": len(ids), "max_model_len": 4096, "tokens": ids})

    return tokenize, None


def llama_cpp(reads: Any) -> tuple[Answer, Answer]:
    """`POST /tokenize` of a text alone, no tokens of anything else, and `POST /apply-template`."""

    def tokenize(body: dict[str, Any]) -> Said:
        text, begins = body.get("content"), body.get("add_special", False)
        return Said({"tokens": [] if text is None else reads.encode(text, add_special_tokens=begins)})

    def apply_template(body: dict[str, Any]) -> Said:
        opens = body.get("add_generation_prompt", True)
        text = reads.apply_chat_template(body["messages"], add_generation_prompt=opens, tokenize=False)
        return Said({"prompt": text})

    return tokenize, apply_template


@pytest.fixture(autouse=True)
def as_data_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.contract.data_folders.DataStep", Data)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("weights") / "tiny-chat"
    return Weights(path=str(saved(folder, llama(BYTES + 3), chatml(CHATML))))


def found(
    folder: Path,
    server: tuple[Answer | None, Answer | None],
    *here: Step,
    form: PromptForm | None = None,
    is_judge: bool = False,
    name: str = "tiny",
) -> list[Finding]:
    """Findings on a served model, or on that of a judge, beside steps of weights here."""
    store = Store(folder / "store")
    for step_id in (ASKED, TRAINED):
        data_folder(store.step_folder(step_id), rows("questions", "en")[:4])
        (store.step_folder(step_id) / "outcome.json").touch()
    with serving(lambda asked: chat("?"), *server) as running:
        model = Settings.model_validate({"name": name, "base_url": running.url})
        it: Step = GenerateStep.model_validate(
            {
                "model": model,
                "examples": ASKED,
                "prompt": form or chat_form(),
                "decoding": {"max_new_tokens": 8},
            }
        )
        if is_judge:
            judges = {"key": Rubric.model_validate({"model": model, "rubric": "overall"})}
            it = JudgeStep.model_construct(judges=judges, answers="generate-" + "0" * 16, examples=ASKED)
        steps: dict[str, Any] = {ASKED: Data(), TRAINED: Data(), "it": it}
        steps |= {f"here{place}": step for place, step in enumerate(here)}
        served = check_served(steps, ["it"], store, folder)
        assert running.asked == [], "the model itself is asked nothing"
    compared = compare([one for _, one in served.renderings], store.cache)
    return [*served.findings.get("it", ()), *(one for found in compared.values() for one in found)]


@pytest.mark.parametrize("server", [vllm, llama_cpp])
def test_a_server_that_renders_as_the_weights_here_are_trained_has_no_findings(
    tmp_path: Path, weights: Weights, server: Any
) -> None:
    assert found(tmp_path, server(chatml(CHATML)), trains(chat_form(), weights), name=str(weights.path)) == []
    assert (
        found(
            tmp_path,
            server(chatml(CHATML)),
            asks(text_form("en"), weights),
            form=text_form("en"),
            name=str(weights.path),
        )
        == []
    )


@pytest.mark.parametrize("server", [vllm, llama_cpp])
def test_a_template_that_differs_from_that_of_training_or_generation_here_is_an_error_that_shows_where(
    tmp_path: Path, weights: Weights, server: Any
) -> None:
    for step in (trains(chat_form(), weights), asks(chat_form(), weights)):
        (finding,) = found(tmp_path, server(chatml(THINKING)), step, name=str(weights.path))
        assert finding.level == "error"
        assert f"the server of {weights.path} reads the prompt of" in finding.message
        assert "on: '<think>' (token 27) on the server, nothing more here" in finding.message
        assert "chat template of these weights" in finding.message


def test_a_template_that_prints_the_day_is_a_warning(tmp_path: Path) -> None:
    dated = chatml("{{ strftime_now('%d %B %Y') }}\n" + CHATML)
    here = Weights(path=str(saved(tmp_path / "dated", llama(BYTES + 3), dated)))
    (finding,) = found(tmp_path, vllm(dated), trains(chat_form(), here), name=str(here.path))
    assert finding.level == "warning"
    assert "prints the day" in finding.message


def test_a_question_that_a_template_here_refuses_is_not_compared_and_stops_nothing(tmp_path: Path) -> None:
    refuses = "{{ raise_exception('not these') }}"
    here = Weights(path=str(saved(tmp_path / "refuses", llama(BYTES + 3), chatml(refuses))))
    (finding,) = found(
        tmp_path, vllm(chatml(CHATML)), trains(chat_form(), here), is_judge=True, name=str(here.path)
    )
    assert finding.level == "warning"
    assert "a judge's question, as" in finding.message
    assert "the chat template refuses a conversation of system, user: not these" in finding.message


def test_a_template_that_nothing_here_uses_is_a_warning_and_weights_of_another_name_are_not_compared(
    tmp_path: Path, weights: Weights
) -> None:
    (finding,) = found(
        tmp_path, vllm(chatml(THINKING)), asks(text_form("en"), weights), name=str(weights.path)
    )
    assert finding.level == "warning"
    assert "'<think>' (token 27) on the server" in finding.message
    assert found(tmp_path, vllm(chatml(THINKING)), trains(chat_form(), weights), name="gpt-4o") == []
    assert found(tmp_path, vllm(chatml(THINKING))) == []


@pytest.mark.parametrize("server", [vllm, llama_cpp])
def test_a_beginning_that_a_server_adds_to_a_text_differs_from_the_first_token_on(
    tmp_path: Path, weights: Weights, server: Any
) -> None:
    from tokenizers.processors import TemplateProcessing

    reads = chatml(CHATML)
    begin = ("<|endoftext|>", BYTES)
    reads.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", pair=None, special_tokens=[begin]
    )
    step = asks(text_form("en"), weights)
    (finding,) = found(tmp_path, server(reads), step, form=text_form("en"), name=str(weights.path))
    assert finding.level == "error"
    assert "from token 1 on: '<|endoftext|>" in finding.message
    assert f"(token {BYTES}) on the server" in finding.message


@pytest.mark.parametrize("server", [vllm, llama_cpp])
def test_the_server_of_a_judge_is_asked_about_a_question_of_two_messages(
    tmp_path: Path, weights: Weights, server: Any
) -> None:
    (finding,) = found(
        tmp_path,
        server(chatml(THINKING)),
        trains(chat_form(), weights),
        is_judge=True,
        name=str(weights.path),
    )
    assert finding.level == "warning", "no step of the study asks that"
    assert f"the server of {weights.path} reads a judge's question otherwise than" in finding.message
    (finding,) = found(tmp_path, (None, None), is_judge=True)
    assert "tells no tokens (404: " in finding.message


@pytest.mark.parametrize("server", [vllm, llama_cpp])
def test_a_template_without_a_generation_prompt_is_told_of_either_server(tmp_path: Path, server: Any) -> None:
    (finding,) = found(tmp_path, server(chatml(BARE)))
    assert "has no generation prompt: tokens [257, 64, 82] stand before an answer" in finding.message


def test_a_server_without_a_template_is_quoted(tmp_path: Path) -> None:
    (finding,) = found(tmp_path, vllm(chatml(None)))
    assert "tells no tokens (400: you must provide a chat template)" in finding.message


@pytest.mark.parametrize(
    ("name", "weights", "is_named"),
    [
        ("Org/Model-1B", Weights(hub="org/model-1b"), True),
        ("model-1b", Weights(hub="org/model-1b"), True),
        ("weights", Weights(package="weights"), True),
        ("model.Q8_0", Weights(path="/models", file="model.Q8_0.gguf"), True),
        ("/models/final", Weights(path="/models/final"), True),
        ("final", Weights(path="/models/final"), False),
        ("other/model-7b", Weights(hub="org/model-1b"), False),
        ("other/model-1b", Weights(hub="org/model-1b"), False),
        ("/models/model-1b", Weights(hub="org/model-1b"), True),
    ],
)
def test_weights_are_known_by_their_name_on_the_hub_by_a_file_or_by_a_whole_path(
    name: str, weights: Weights, is_named: bool
) -> None:
    found = weights_named(name, [asks(text_form("en"), weights)], is_chat=True)
    assert found == ((weights, False) if is_named else None)
