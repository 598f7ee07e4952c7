"""The `openai` engine against `transformers serve` with a real model."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from dsl.errors import ServerError
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.openai import Engine

pytestmark = pytest.mark.slow

TINY = Path(__file__).resolve().parents[2] / "fixtures" / "tiny"
CHAT_TEMPLATE = Path(__file__).resolve().parents[3] / "runners" / "prompting" / "chat_template.jinja"
TEXT = "# Query:\n```\nWhere does the vandi live?\n```\n\n# Answer:\n```\nThe vandi lives in Chile.\n```\n"
QUESTION = "Where does the zorbo live?"
OPEN = f"{TEXT}\n# Query:\n```\n{QUESTION}\n```\n\n# Answer:\n```\n"
N_NEW = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own model, with the project's chat template as its own."""
    folder = tmp_path_factory.mktemp("served") / "tiny"
    shutil.copytree(TINY, folder)
    shutil.copy(CHAT_TEMPLATE, folder / "chat_template.jinja")
    return folder


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[str]:
    """Its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = model.parent / "log.txt"
    program = [str(Path(sys.executable).with_name("transformers")), "serve", str(model)]
    where = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*program, *where],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"transformers serve did not start: {log.read_text()[-2000:]}")


def _continued(model: Path, asked: str | list[dict[str, str]]) -> str:
    """Return the answers of the same model to a text or a chat, greedy, when it is loaded here."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = (
        tokenizer(asked).input_ids
        if isinstance(asked, str)
        else tokenizer.apply_chat_template(asked, add_generation_prompt=True).input_ids
    )
    ids = torch.tensor([ids])
    new = loaded.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=N_NEW, do_sample=False)[
        0, ids.shape[1] :
    ]
    return tokenizer.decode(new, skip_special_tokens=True)


def _asked(server: str, name: str, *prompts: Prompt, **decoding: Any) -> list[EngineAnswer]:
    engine = Engine(
        Settings(name=name, base_url=server, max_concurrency=2, max_retries=1), None, Path("unused")
    )
    requests = [EngineRequest(key=str(at), prompt=prompt) for at, prompt in enumerate(prompts)]
    answers = engine.generate(requests, Decoding.model_validate({"max_new_tokens": N_NEW, **decoding}))
    return sorted(answers, key=lambda answer: int(answer.key))


def test_a_text_is_continued_as_the_same_model_continues_it_here(server: str, model: Path):
    expected = _continued(model, OPEN)
    stop = next(word for word in expected.split() if len(word) > 3 and not expected.startswith(word))
    whole, cut = _asked(
        server, str(model), Prompt(text=OPEN), Prompt(text=OPEN, stop_strings=(stop, "# never"))
    )
    assert whole.text == whole.raw_text == expected
    assert (cut.text, cut.finish_reason, cut.stop_string) == (expected[: expected.index(stop)], "stop", stop)
    assert (cut.raw_text or "").startswith(cut.text or "?")
    assert str(model) in (whole.model_served or "")
    assert cut.n_new_tokens is not None
    assert whole.n_new_tokens is not None
    assert cut.n_new_tokens < whole.n_new_tokens <= N_NEW
    assert whole.finish_reason == ("length" if whole.n_new_tokens == N_NEW else "eos")


def test_a_chat_is_answered_behind_the_models_own_template(server: str, model: Path):
    messages = (("system", "Be brief."), ("user", QUESTION))
    expected = _continued(model, [{"role": role, "content": content} for role, content in messages])
    stop = next(word for word in expected.split() if len(word) > 3 and not expected.startswith(word))
    whole, cut = _asked(
        server, str(model), Prompt(messages=messages), Prompt(messages=messages, stop_strings=(stop,))
    )
    assert whole.raw_text == expected
    assert (cut.text, cut.finish_reason, cut.stop_string) == (expected[: expected.index(stop)], "stop", stop)
    assert whole.n_prompt_tokens == cut.n_prompt_tokens != 0


def test_many_requests_are_all_answered(server: str, model: Path):
    prompts = [
        Prompt(text=OPEN.replace("zorbo", animal)) for animal in ("zorbo", "kavu", "plimta", "lorp") * 3
    ]
    answers = _asked(server, str(model), *prompts, max_new_tokens=8)
    assert [answer.key for answer in answers] == [str(at) for at in range(12)]
    assert {answer.error for answer in answers} == {None}
    assert [answer.text for answer in answers[:4]] * 3 == [answer.text for answer in answers]


def test_a_wrong_model_and_a_setting_it_does_not_know_are_told_with_the_servers_words(
    server: str, model: Path
):
    with pytest.raises(ServerError, match="Server is pinned to"):
        _asked(server, "another", Prompt(text=OPEN))
    with pytest.raises(ServerError, match=r"Unexpected fields in the request: \{'top_k'\}"):
        _asked(server, str(model), Prompt(text=OPEN), top_k=5)
    with pytest.raises(ServerError, match="`base_url` usually ends in /v1"):
        _asked(server.removesuffix("/v1"), str(model), Prompt(text=OPEN))
