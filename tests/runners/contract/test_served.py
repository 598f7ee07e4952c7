"""The contract on a real HTTP server that tokenises on request, as vLLM does."""

from pathlib import Path
from typing import Any

import pytest

from dsl.engines.openai import Settings
from dsl.steps.prompt_forms import PromptForm
from dsl.steps.steps import GenerateStep
from runners.contract.findings import Finding
from runners.contract.served import check_served
from runners.store.store import Store
from tests.fixtures.tiny_study import chat_form, data_folder, rows, text_form
from tests.runners.contract.test_findings import ASKED, Data, messages
from tests.runners.engines.fake_server import Said, chat, serving

BOS, TURN = 1000, 1001
QUESTIONS = rows("questions", "en")[:4]


class Tokenizer:
    """The tokenizer of a server: a token for each byte, ChatML turns, and faults if asked for."""

    def __init__(self, *, n_bos: int = 1, opens: bool = True, room: int = 4096) -> None:
        self.n_bos, self.opens, self.room = n_bos, opens, room
        self.asked: list[dict[str, Any]] = []

    def __call__(self, body: dict[str, Any]) -> Said:
        self.asked.append(body)
        if "prompt" in body:
            ids = [BOS] * (1 if not body["prompt"] else self.n_bos) + list(body["prompt"].encode())
        else:
            ids = [BOS] * self.n_bos
            for one in body["messages"]:
                ids += [TURN, *one["role"].encode(), *one["content"].encode()]
            ids += [TURN, *b"assistant"] if body["add_generation_prompt"] and self.opens else []
        return Said({"count": len(ids), "max_model_len": self.room, "tokens": ids})


def found(folder: Path, form: PromptForm, tokenizer: Tokenizer | None, **settings: Any) -> list[Finding]:
    store = Store(folder)
    data_folder(store.step_folder(ASKED), QUESTIONS)
    (store.step_folder(ASKED) / "outcome.json").touch()
    with serving(lambda asked: chat("?"), tokenizer) as server:
        model = Settings.model_validate({"name": "tiny", "base_url": server.url, **settings})
        step = GenerateStep.model_validate(
            {"model": model, "examples": ASKED, "prompt": form, "decoding": {"max_new_tokens": 8}}
        )
        steps: dict[str, Any] = {ASKED: Data(), "it": step}
        findings = check_served(steps, ["it"], store, folder).findings["it"]
        assert server.asked == [], "the model itself is asked nothing"
    return list(findings)


@pytest.fixture(autouse=True)
def as_data_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.contract.data_folders.DataStep", Data)


@pytest.mark.parametrize("form", [text_form("en"), chat_form()])
def test_a_server_that_reads_prompts_well_or_cannot_be_asked_has_no_findings(
    tmp_path: Path, form: PromptForm
) -> None:
    assert found(tmp_path, form, Tokenizer()) == []
    assert found(tmp_path, form, Tokenizer(), api_key_env="XP_TEST_NOT_SET") == []


def test_a_server_that_tells_no_tokens_is_said_to_be_unchecked_where_it_renders_chats(
    tmp_path: Path,
) -> None:
    assert found(tmp_path, text_form("en"), None) == []
    (finding,) = found(tmp_path, chat_form(), None)
    assert finding.level == "warning"
    assert "tells no tokens (404: " in finding.message
    assert "its chat template, the beginning of its prompts and their end are not checked" in finding.message


@pytest.mark.parametrize("form", [text_form("en"), chat_form()])
@pytest.mark.parametrize("n_bos", [0, 2])
def test_a_prompt_that_a_server_begins_twice_or_never_is_a_warning(
    tmp_path: Path, form: PromptForm, n_bos: int
) -> None:
    told = messages(found(tmp_path, form, Tokenizer(n_bos=n_bos)), "warning")
    assert f"reads the beginning-of-sequence token {n_bos} times in the prompt of" in told


def test_the_longest_prompt_of_a_server_is_compared_with_its_context(tmp_path: Path) -> None:
    tokenizer = Tokenizer(room=100)
    (finding,) = found(tmp_path, text_form("en"), tokenizer)
    longest = max(tokenizer.asked, key=lambda body: len(body.get("prompt", "")))
    n = len(longest["prompt"].encode()) + 1
    assert finding.level == "warning"
    assert f"has {n} tokens on the server; with `max_new_tokens` (8) it does not fit its context of 100" in (
        finding.message
    )
    item = max(QUESTIONS, key=lambda row: len(row.instruction)).item
    assert item in finding.message


def test_a_template_of_a_server_without_a_generation_prompt_is_a_warning(tmp_path: Path) -> None:
    told = messages(found(tmp_path, chat_form(), Tokenizer(opens=False)), "warning")
    assert f"has no generation prompt: tokens [{TURN}, 97, 115] stand before an answer" in told


class Llama(Tokenizer):
    """A Llama 2 template: an answer follows the question at once, a word in one token with its space, and
    what is no word after a space of its own."""

    def __call__(self, body: dict[str, Any]) -> Said:
        if "prompt" in body:
            return super().__call__(body)
        ids = [BOS]
        for one in body["messages"]:
            text = one["content"]
            ids += [2000] if text == "Yes" else [32, *text.encode()]
        return Said({"count": len(ids), "max_model_len": self.room, "tokens": ids})


def test_a_space_before_an_answer_is_no_generation_prompt(tmp_path: Path) -> None:
    assert found(tmp_path, chat_form(), Llama()) == []


def test_a_server_that_gives_no_tokens_is_asked_once(tmp_path: Path) -> None:
    class Silent(Tokenizer):
        def __call__(self, body: dict[str, Any]) -> Said:
            self.asked.append(body)
            return Said({}, 500)

    silent = Silent()
    (finding,) = found(tmp_path, chat_form(), silent)
    assert finding.level == "warning"
    assert len(silent.asked) == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said({"error": "Unauthorized"}, 401), "(401: Unauthorized)"),
        (Said({"error": {"message": "Invalid API Key"}}, 403), "(403: Invalid API Key)"),
        (Said({"error": {"message": "Loading model"}}, 503), "(503: Loading model)"),
        (Said("<html>Bad Gateway</html>", 502), "(502: <html>Bad Gateway</html>)"),
        (
            Said("<html>", headers={"content-type": "text/html"}),
            "(it answers with text/html that is not JSON",
        ),
        (Said({"tokens": "none"}), "(the server's reply has not the form of the API: tokens: "),
    ],
)
@pytest.mark.parametrize("at", ["tokenize", "apply_template"])
def test_a_server_that_fails_on_a_chat_is_said_to_be_unchecked_with_the_reason(
    tmp_path: Path, at: str, said: Said, reason: str
) -> None:
    store = Store(tmp_path)
    data_folder(store.step_folder(ASKED), QUESTIONS)
    (store.step_folder(ASKED) / "outcome.json").touch()
    answers = {"tokenize": lambda body: Said({"tokens": []}), at: lambda body: said}
    with serving(lambda asked: chat("?"), **answers) as server:
        model = Settings.model_validate({"name": "tiny", "base_url": server.url})
        step = GenerateStep.model_validate(
            {"model": model, "examples": ASKED, "prompt": chat_form(), "decoding": {}}
        )
        steps: dict[str, Any] = {ASKED: Data(), "it": step}
        (finding,) = check_served(steps, ["it"], store, tmp_path).findings["it"]
    assert finding.level == "warning"
    assert f"tells no tokens {reason}" in finding.message
    assert "are not checked" in finding.message


@pytest.mark.parametrize(
    "said",
    [
        Said("<html>", 200),
        Said({"tokens": "none"}),
        Said({"error": "busy"}, 503),
        Said({}, 500),
        Said({"tokens": [1], "max_model_len": -1}),
    ],
)
def test_a_server_that_fails_on_it_is_not_judged_by_that(tmp_path: Path, said: Said) -> None:
    store = Store(tmp_path)
    data_folder(store.step_folder(ASKED), QUESTIONS)
    (store.step_folder(ASKED) / "outcome.json").touch()
    with serving(lambda asked: chat("?"), lambda body: said) as server:
        model = Settings.model_validate({"name": "tiny", "base_url": server.url})
        step = GenerateStep.model_validate(
            {"model": model, "examples": ASKED, "prompt": text_form("en"), "decoding": {}}
        )
        steps: dict[str, Any] = {ASKED: Data(), "it": step}
        levels = {one.level for one in check_served(steps, ["it"], store, tmp_path).findings["it"]}
    assert "error" not in levels
