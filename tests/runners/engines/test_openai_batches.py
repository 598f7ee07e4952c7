"""The `openai` engine in front of a provider's batch API: what it submits, and what it makes of what comes
back."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from dsl.errors import RequestsWait, ServerError
from runners.engines import _batch_api as api
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.openai import Engine
from runners.http import bodies
from runners.store import batches
from tests.runners.engines.fake_batches import Provider, Row, answered, providing, refused, unasked
from tests.runners.engines.fake_server import SOON, Said, requests


def asked(
    provider: Provider, folder: Path, wanted: list[EngineRequest], **settings: Any
) -> tuple[dict[str, EngineAnswer], str | None]:
    """Come once: the answers, and what is said of requests that wait."""
    url = {"name": "tiny", "base_url": provider.url, "batch": True, "max_retries": 2}
    engine = Engine(Settings.model_validate({**url, **settings}), None, Path("unused"))
    found: dict[str, EngineAnswer] = {}
    with batches.kept_in(folder):
        try:
            for answer in engine.generate(wanted, Decoding(max_new_tokens=16)):
                assert answer.key not in found
                found[answer.key] = answer
        except RequestsWait as error:
            return found, str(error)
    return found, None


def test_requests_are_submitted_once_and_answered_when_their_batch_has_ended(tmp_path: Path):
    wanted = requests("one", "two", "three")
    with providing() as provider:
        assert asked(provider, tmp_path, wanted) == (
            {},
            f"3 requests wait at {provider.url} in a batch (validating)",
        )
        provider.begin()
        found, waiting = asked(provider, tmp_path, wanted)
        assert (found, waiting) == ({}, f"3 requests wait at {provider.url} in a batch (in_progress)")
        provider.end()
        found, waiting = asked(provider, tmp_path, wanted)
    assert waiting is None
    assert {key: one.text for key, one in found.items()} == {
        one.key: f"answer to {one.key}" for one in wanted
    }
    assert {(one.finish_reason, one.n_prompt_tokens, one.n_new_tokens) for one in found.values()} == {
        ("eos", 7, 3)
    }
    assert {(one.model_served, one.system_fingerprint) for one in found.values()} == {("served-42", "fp_1")}
    assert len(provider.batches) == 1
    assert provider.asked.count("POST files") == 1


def test_a_batch_has_the_bodies_that_are_sent_without_one(tmp_path: Path):
    schema = json.dumps({"type": "object", "properties": {}, "additionalProperties": False})
    chat = Prompt(messages=(("system", "Be brief."), ("user", "Why?")), stop_strings=("\n\n",))
    with_schema = chat.model_copy(update={"json_schema": schema})
    wanted = [
        EngineRequest(key="chat", prompt=chat, seed=5),
        EngineRequest(key="schema", prompt=with_schema, seed=6),
    ]
    with providing() as provider:
        asked(provider, tmp_path, wanted)
        in_batch = [row["body"] for row in provider.rows()]
        n_probes = len(provider.single)
        asked(provider, tmp_path / "unused", wanted, batch=False)
        alone = provider.single[n_probes:]
    assert provider.batches[0]["endpoint"] == "/v1/chat/completions"
    accepted = [body for body in alone if "top_k" not in body]
    assert sorted(map(json.dumps, accepted)) == sorted(map(json.dumps, in_batch))


def test_outside_of_an_attempt_requests_are_sent_one_by_one():
    with providing() as provider:
        settings = Settings.model_validate({"name": "tiny", "base_url": provider.url, "batch": True})
        (one,) = Engine(settings, None, Path("unused")).generate(requests("one"), Decoding())
        assert one.text == "answer to one"
        assert provider.batches == []


FATES: dict[str, Callable[[Row], Row | None]] = {
    "good": answered,
    "refused": refused,
    "overloaded": lambda row: refused(row, 503, "overloaded"),
    "expired": unasked,
    "odd": lambda row: answered(row) | {"response": {"status_code": 200, "body": {"choices": []}}},
    "lost": lambda row: None,
}
"""Prompt -> the line of its request."""


def test_lines_with_errors_and_missing_lines_are_errors_and_never_empty_answers(tmp_path: Path):
    wanted = requests(*FATES)
    with providing() as provider:
        asked(provider, tmp_path, wanted)
        provider.end(lambda row: FATES[row["body"]["prompt"]](row))
        found, waiting = asked(provider, tmp_path, wanted)
    assert waiting is None
    assert {key: (one.text, one.is_transient) for key, one in found.items()} == {
        "good": ("answer to good", False),
        "refused": (None, False),
        "overloaded": (None, True),
        "expired": (None, True),
        "odd": (None, True),
        "lost": (None, True),
    }
    errors = {key: one.error or "" for key, one in found.items()}
    assert errors["refused"] == "the server refused this prompt (400): too long"
    assert errors["overloaded"] == "the provider failed on this prompt (503): overloaded"
    assert "batch_expired: This request was not executed." in errors["expired"]
    assert "has not the form of the API" in errors["odd"]
    assert errors["lost"] == "the provider's files have no line for it"


@pytest.mark.parametrize(
    ("status", "more", "why"),
    [
        ("expired", {}, "the batch expired"),
        ("cancelled", {}, "the batch was cancelled"),
        (
            "failed",
            {"errors": {"data": [{"code": "token_limit_exceeded", "message": "Enqueued limit reached"}]}},
            "the batch failed: token_limit_exceeded: Enqueued limit reached",
        ),
    ],
)
def test_a_batch_that_ends_early_gives_what_it_has_and_errors_for_the_rest(
    status: str, more: Row, why: str, tmp_path: Path
):
    wanted = requests("one", "two")
    with providing() as provider:
        asked(provider, tmp_path, wanted)
        provider.end(lambda row: answered(row) if row["body"]["prompt"] == "one" else None, status, **more)
        found, waiting = asked(provider, tmp_path, wanted)
        assert waiting is None
        assert found["one"].text == "answer to one"
        assert (found["two"].error, found["two"].is_transient) == (why, True)
        # what failed is asked again when it is wanted again; what was answered costs nothing more
        again, waiting = asked(provider, tmp_path, wanted)
        assert (again.keys(), len(provider.batches)) == ({"one"}, 2)
        assert [row["body"]["prompt"] for row in provider.rows()] == ["two"]
        assert waiting is not None
        assert waiting.startswith("1 requests wait")


def test_equal_requests_have_answers_of_their_own(tmp_path: Path):
    prompt = Prompt(text="same")
    wanted = [EngineRequest(key=key, prompt=prompt) for key in "abc"]
    with providing() as provider:
        asked(provider, tmp_path, wanted)
        numbers = iter(range(3))

        def counted(row: Row) -> Row:
            line = answered(row)
            line["response"]["body"]["choices"][0]["text"] = str(next(numbers))
            return line

        provider.end(counted)
        whole, _ = asked(provider, tmp_path, wanted)
        rest, _ = asked(provider, tmp_path, wanted[1:])
    assert sorted(one.text or "" for one in whole.values()) == ["0", "1", "2"]
    assert rest == {key: whole[key] for key in "bc"}


def test_large_jobs_are_split_and_every_batch_is_within_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(api, "MOST_REQUESTS", 2)
    wanted = requests("a", "b", "c", "d", "e")
    with providing() as provider:
        _, waiting = asked(provider, tmp_path, wanted)
        assert [len(provider.rows(batch)) for batch in range(3)] == [2, 2, 1]
        assert waiting == f"5 requests wait at {provider.url} in 3 batches (3 validating)"
        provider.end(batch=1)
        found, waiting = asked(provider, tmp_path, wanted)
        assert (sorted(found), len(provider.batches)) == (["c", "d"], 3)
        assert waiting == f"3 requests wait at {provider.url} in 2 batches (2 validating)"
        provider.end(batch=0)
        provider.end(batch=2)
        found, waiting = asked(provider, tmp_path, [one for one in wanted if one.key not in "cd"])
        assert (sorted(found), waiting, len(provider.batches)) == (["a", "b", "e"], None, 3)


@given(
    st.lists(st.integers(1, 50), max_size=60),
    st.integers(1, 20),
    st.integers(50, 200),
)
def test_a_split_keeps_order_and_limits(sizes: list[int], most_requests: int, most_bytes: int):
    parts = [*api.split(sizes, most_requests, most_bytes)]
    assert [place for part in parts for place in part] == [*range(len(sizes))]
    assert all(len(part) <= most_requests for part in parts)
    assert all(sum(sizes[place] for place in part) <= most_bytes for part in parts)


def silent(asked: str) -> Said | None:
    return None


def first(said: Said) -> Callable[[str], Said | None]:
    """A hook that says this at the first request of a kind."""
    heard = set[str]()

    def hook(asked: str) -> Said | None:
        is_new = asked not in heard
        heard.add(asked)
        return said if is_new else None

    return hook


def test_429_is_waited_for_at_every_request(tmp_path: Path):
    wanted = requests("one", "two")
    with providing() as provider:
        provider.before = first(Said({"error": {"message": "slow down"}}, 429, SOON))
        asked(provider, tmp_path, wanted)
        provider.end(mixed_of_two)
        found, waiting = asked(provider, tmp_path, wanted)
    assert (waiting, len(provider.batches)) == (None, 1)
    assert {key: one.text for key, one in found.items()} == {"one": "answer to one", "two": None}


def mixed_of_two(row: Row) -> Row:
    return answered(row) if row["body"]["prompt"] == "one" else refused(row)


def test_a_batch_that_was_created_without_a_reply_is_found_and_not_created_again(tmp_path: Path):
    wanted = requests("one")
    with providing() as provider:
        provider.page = 1
        other = {"id": "batch_other", "status": "completed", "metadata": None, "input_file_id": "file-x"}
        gone = Said(b"Bad gateway", 502, SOON)

        def lost(asked: str) -> Said | None:
            if asked == "POST batches":
                provider.batches.append(other)  # so that it is on the second page
                provider.meanwhile = silent
                return gone
            return None

        provider.meanwhile = lost
        _, waiting = asked(provider, tmp_path, wanted)
        assert waiting is not None
        assert [batch["id"] for batch in provider.batches] == ["batch_0", "batch_other"]
        assert provider.asked.count("POST batches") == 1
        provider.end(batch=0)
        found, _ = asked(provider, tmp_path, wanted)
    assert found["one"].text == "answer to one"


@pytest.mark.parametrize("where", ["POST files", "POST batches"])
def test_a_provider_that_fails_is_an_error_and_the_next_attempt_submits_once(where: str, tmp_path: Path):
    wanted = requests("one")
    with providing() as provider:
        provider.before = lambda asked: Said(b"", 502, SOON) if asked == where else None
        with pytest.raises(ServerError, match="did not answer for tiny in 3 tries"):
            asked(provider, tmp_path, wanted)
        assert provider.batches == []
        provider.before = silent
        _, waiting = asked(provider, tmp_path, wanted)
        assert waiting is not None
        assert len(provider.batches) == 1


def test_a_server_without_a_batch_api_is_named_with_the_setting(tmp_path: Path):
    with providing() as provider:
        provider.before = lambda asked: Said({}, 404) if asked == "POST files" else None
        with pytest.raises(ServerError, match="`batch: true` is for providers with OpenAI's batch API"):
            asked(provider, tmp_path, requests("one"))


def test_a_model_that_the_server_does_not_have_is_an_error_before_anything_is_uploaded(tmp_path: Path):
    with providing() as provider:
        provider.before = lambda asked: (
            Said({"error": {"message": "no such model"}}, 404) if asked == "POST completions" else None
        )
        with pytest.raises(ServerError, match="has no model tiny"):
            asked(provider, tmp_path, requests("one"))
    assert provider.files == {}


def test_a_batch_that_is_gone_is_an_error_that_names_its_file(tmp_path: Path):
    with providing() as provider:
        asked(provider, tmp_path, requests("one"))
        provider.batches.clear()
        with pytest.raises(ServerError, match="its requests are submitted again") as raised:
            asked(provider, tmp_path, requests("one"))
        (kept,) = (tmp_path / "batches").glob("*.json")
        assert str(kept) in str(raised.value)
        kept.unlink()
        asked(provider, tmp_path, requests("one"))
        assert len(provider.batches) == 1


def test_files_that_cannot_be_fetched_now_are_fetched_by_the_next_attempt(tmp_path: Path):
    wanted = requests("one", "two")
    with providing() as provider:
        asked(provider, tmp_path, wanted)
        provider.end(mixed_of_two)
        errors = f"GET files/{provider.batches[0]['error_file_id']}/content"
        provider.before = lambda asked: Said(b"", 502, SOON) if asked == errors else None
        with pytest.raises(ServerError):
            asked(provider, tmp_path, wanted)
        provider.before = silent
        found, waiting = asked(provider, tmp_path, wanted)
    assert (sorted(found), waiting, len(provider.batches)) == (["one", "two"], None, 1)


def test_files_may_come_compressed(tmp_path: Path):
    with providing() as provider:
        asked(provider, tmp_path, requests("one"))
        provider.end()
        name = provider.batches[0]["output_file_id"]
        packed = Said(gzip.compress(provider.files[name]), 200, {"content-encoding": "gzip"})
        provider.meanwhile = lambda asked: packed if asked.endswith("/content") else None
        found, _ = asked(provider, tmp_path, requests("one"))
    assert found["one"].text == "answer to one"


def test_of_a_file_with_too_long_a_line_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "MAX_BYTES", 2_000_000)
    with providing() as provider:
        asked(provider, tmp_path, requests("one"))
        provider.end()
        provider.files[provider.batches[0]["output_file_id"]] = b"x" * 3_000_000
        with pytest.raises(ServerError, match="a line of a file is larger than 2 MB"):
            asked(provider, tmp_path, requests("one"))
    assert [path.suffix for path in sorted((tmp_path / "batches").iterdir())] == [".json"]


def test_a_key_reaches_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEY", "sk-0123456789abcdef")

    def echoing(row: Row) -> Row:
        line = answered(row)
        line["response"]["body"]["choices"][0]["text"] = "you sent sk-0123456789abcdef"
        return line

    with providing() as provider:
        asked(provider, tmp_path, requests("one"), api_key_env="KEY")
        provider.end(echoing)
        found, _ = asked(provider, tmp_path, requests("one"), api_key_env="KEY")
    assert "0123456789" not in str(found)
    kept = [path for path in (tmp_path / "batches").iterdir() if b"0123456789" in path.read_bytes()]
    assert kept == []
