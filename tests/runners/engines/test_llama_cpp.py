"""The `llama_cpp` engine: replies of llama.cpp's server as it gave them, and the engine before one that
behaves as it does."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.llama_cpp import Settings
from dsl.engines.transformers import Weights
from dsl.errors import DataError, ServerError
from runners.engines import _llama_cpp_api as api
from runners.engines import find_engine
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.inference.next_token import Sampling
from runners.inference.scheduler import Request
from runners.prompting.prompts import Prompter
from runners.serving import llama_cpp, servers
from tests.fixtures.tiny_study import chat_form, inputs, rows, text_form
from tests.runners.checkpoints import CHATML
from tests.runners.gguf_files import write_tiny_gguf

SERVER = Path(__file__).parents[1] / "serving" / "vllm_server.py"
GREEDY = Decoding(max_new_tokens=16)


def test_a_request_names_every_sampler_and_counts_the_whole_prompt_in_its_penalty() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=0, repetition_penalty=1.2, max_new_tokens=8)
    request = Request("k", (5, 6, 7), ("\n",), 2**40, False, None)
    sent = api.body("model", request, sampling, frozenset({2}), 8)
    assert sent["prompt"] == [5, 6, 7]
    assert sent["samplers"] == ["penalties", "temperature", "top_k", "top_p"]
    assert (sent["repeat_penalty"], sent["repeat_last_n"], sent["n_predict"]) == (1.2, 11, 8)
    assert (sent["temperature"], sent["top_k"], sent["top_p"]) == (0.7, 0, 0.9)
    assert 0 <= sent["seed"] < 2**32 - 1
    assert (sent["stop"], sent["return_tokens"]) == (["\n"], True)


@pytest.mark.parametrize(
    ("stop_type", "ended_by", "ends"),
    [("eos", "stop", {2}), ("word", "stop", set()), ("limit", "length", set()), ("none", "none", set())],
)
def test_a_reply_says_why_an_answer_ended_and_which_token_ended_it(
    stop_type: str, ended_by: str, ends: set[int]
) -> None:
    reply = api.Reply.model_validate(
        {"content": "Yes", "tokens": [9, 2], "stop": True, "stop_type": stop_type, "tokens_evaluated": 7}
        | {"tokens_predicted": 2, "timings": {}, "generation_settings": {}}
    )
    assert (reply.new_ids, reply.ended_by, reply.end_ids) == ([9, 2], ended_by, ends)
    assert reply.n_tokens() == (7, 2)


def test_probabilities_are_those_of_the_labels_or_none() -> None:
    def reply(*found: tuple[int, float]) -> api.LabelReply:
        top = [{"id": token, "token": "x", "bytes": [120], "prob": prob} for token, prob in found]
        token = {"id": found[0][0], "token": "x", "bytes": [120], "prob": found[0][1], "top_probs": top}
        return api.LabelReply.model_validate({"completion_probabilities": [token], "tokens": []})

    assert reply((5, 0.75), (4, 0.25)).logprobs([4, 5]) == pytest.approx((math.log(0.25), math.log(0.75)))
    certain = reply((5, 1.0)).logprobs([4, 5])  # the server leaves out a probability of 0
    assert certain is not None
    assert certain[1] == 0
    assert certain[0] < -100
    assert reply((5, 0.75), (99, 0.25)).logprobs([4, 5]) is None


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of what the server is asked."""
    monkeypatch.setenv(llama_cpp.VARIABLE, f"{sys.executable} {SERVER}")
    monkeypatch.setenv("VLLM_SERVER_ASKED", str(tmp_path / "asked.jsonl"))
    yield tmp_path / "asked.jsonl"
    servers.end()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the tiny model as a GGUF file."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_gguf(folder / "tiny.gguf", CHATML)
    return str(folder)


def requests(folder: Path, n: int = 3) -> list[EngineRequest]:
    context, _ = inputs(folder)
    found: list[EngineRequest] = []
    for form in (text_form("en"), chat_form()):
        prompter = Prompter(form, context, None)
        for example in rows("questions", "en")[:n]:
            key = f"{example.item} {type(form).__name__}"
            found.append(EngineRequest(key=key, prompt=prompter.prompt(example), seed=3))
    return found


def answers(
    settings: EngineSettings, asked: list[EngineRequest], cache: Path, decoding: Decoding = GREEDY
) -> dict[str, EngineAnswer]:
    engine = find_engine(settings.engine).Engine(settings, None, cache)
    return {one.key: one for one in engine.generate(asked, decoding)}


def posted(asked: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asked.read_text("utf-8").splitlines()]


@pytest.mark.slow
def test_the_same_prompts_get_the_same_answers_as_tokens_and_rows_say_what_gave_them(
    tmp_path: Path, asked: Path, tiny: str
) -> None:
    prompts, cache = requests(tmp_path), tmp_path / "cache"
    for decoding in (GREEDY, Decoding(max_new_tokens=16, repetition_penalty=1.3)):
        there = answers(Settings(path=tiny, counted_args={"flash_attn": "off"}), prompts, cache, decoding)
        here = answers(Weights(path=tiny), prompts, cache, decoding)
        apart = {"seconds", "batch_size", "system_fingerprint"}
        assert {key: one.model_dump(exclude=apart) for key, one in there.items()} == {
            key: one.model_dump(exclude=apart) for key, one in here.items()
        }
    said = {one.system_fingerprint for one in there.values()}
    assert said == {"llama.cpp b11434-fake, all F32, float32, flash_attn=off"}
    assert {one["path"] for one in posted(asked)} == {"/completion"}
    assert len(Path(f"{asked}.starts").read_text("utf-8").splitlines()) == 1


@pytest.mark.slow
def test_a_server_that_ends_is_started_once_more_and_then_its_step_fails(
    tmp_path: Path, asked: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_SERVER_HAS_NO_MODEL", "1")
    settings, prompts, cache = Settings(path=tiny, batch_size=1), requests(tmp_path), tmp_path / "cache"
    monkeypatch.setenv("VLLM_SERVER_ENDS_BEFORE", "3")
    assert answers(settings, prompts, cache).keys() == {one.key for one in prompts}
    servers.end()
    asked.unlink()
    monkeypatch.setenv("VLLM_SERVER_ENDS_BEFORE", "2 4")
    with pytest.raises(ServerError, match=r"for the second time, the server of llama\.cpp .* ended"):
        answers(settings, prompts, cache)


def test_a_tuned_model_and_weights_that_are_no_gguf_file_are_refused_with_the_engines_that_take_them(
    tmp_path: Path, tiny: str
) -> None:
    engine = find_engine("llama_cpp").Engine
    with pytest.raises(DataError, match=r"sft-1 would be asked with llama\.cpp.* `engine: vllm` ask it"):
        engine(Settings(path=tiny), tmp_path / "sft-1", tmp_path / "cache")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").touch()
    with pytest.raises(DataError, match=r"no GGUF file in .*, and llama\.cpp reads no other weights"):
        engine(Settings(path=str(tmp_path / "other")), None, tmp_path / "cache")
