"""The `openai` engine, its key and its address: what is sent to whom, and that nothing of it is shown."""

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from dsl.errors import ServerError
from runners.engines.openai import Engine
from tests.runners.engines.fake_server import (
    SOON,
    Asked,
    Said,
    answers,
    completion,
    engine,
    requests,
    serving,
)

KEY = "sk-9fK2mQ7xW4tB8nR1"


def echo(asked: Asked) -> object:
    return {
        "error": {
            "message": f"you sent {asked.headers['authorization']}",
            "code": asked.headers["authorization"],
        }
    }


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: Said(echo(asked), 400),
        lambda asked: Said(echo(asked), 400) if asked.prompt == "0" else completion("fine"),
        lambda asked: Said(str(echo(asked)), 401, {"x-request-id": asked.headers["authorization"]}),
        lambda asked: Said(echo(asked), 403),
        lambda asked: Said(json.dumps(echo(asked)), 500, SOON),
        lambda asked: Said(echo(asked), 200),
        lambda asked: Said(
            asked.headers["authorization"], 200, {"content-type": asked.headers["authorization"], **SOON}
        ),
        lambda asked: completion(
            f"you sent {asked.headers['authorization']}", stop_reason=asked.headers["authorization"]
        ),
        lambda asked: Said({**dict(completion("fine").body), "model": asked.headers["authorization"]}),
    ],
    ids=[
        "400 for all",
        "400 for one",
        "401",
        "403",
        "500",
        "error with 200",
        "nonsense with 200",
        "in the answer",
        "as the model",
    ],
)
def test_a_server_that_repeats_the_key_puts_it_nowhere(
    answer: Callable[[Asked], Said],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("XP_TEST_KEY", f"{KEY}\n")
    for name in ("", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)
    seen: list[str] = []
    with serving(answer) as server:
        asking = engine(server, api_key_env="XP_TEST_KEY", max_retries=1)
        told: ServerError | None = None
        try:
            seen += [each.model_dump_json() for each in asking.generate(requests("0", "1"), Decoding())]
        except ServerError as error:
            told = error
        if told is not None:
            assert (told.__cause__, told.__context__) == (None, None)
            assert told.__traceback__ is not None
            told.__traceback__ = told.__traceback__.tb_next  # without this frame, whose server knows the key
            seen += traceback.TracebackException.from_exception(told, capture_locals=True).format()
        seen += [repr(asking), repr(vars(asking)), repr(asking.facts), caplog.text, *capfd.readouterr()]
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert seen
    assert KEY not in "\n".join(seen)


@pytest.mark.parametrize("value", [f"{KEY}\n{KEY}", f"Bearer {KEY}", f"{KEY}é"])
def test_a_key_that_cannot_be_sent_is_told_by_its_name_alone(value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XP_TEST_KEY", value)
    with pytest.raises(ServerError, match="XP_TEST_KEY does not hold a key") as caught:
        answers(engine("http://127.0.0.1:9/v1", api_key_env="XP_TEST_KEY"), requests("a"))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("setting", ["api_key_env", "base_url_env"])
def test_a_variable_that_is_not_set_is_named(setting: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XP_TEST_UNSET", raising=False)
    with pytest.raises(ServerError, match="XP_TEST_UNSET is not set"):
        answers(
            Engine(Settings.model_validate({"name": "tiny", setting: "XP_TEST_UNSET"}), None, Path("unused")),
            requests("a"),
        )


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    with serving(lambda _: completion("fine")) as server:
        monkeypatch.setenv("XP_TEST_URL", server.url)
        asking = Engine(Settings(name="tiny", base_url_env="XP_TEST_URL"), None, Path("unused"))
        assert answers(asking, requests("a"))["a"].text == "fine"


def test_no_key_of_another_server_is_sent_where_the_spec_names_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with serving(lambda _: completion("fine")) as server:
        answers(engine(server), requests("a"))
    assert KEY not in str(server.asked[0].headers)


def test_what_stands_behind_the_address_is_sent_behind_the_path_and_not_shown():
    def answer(asked: Asked) -> Said:
        return Said({"error": {"message": f"no for {asked.path}"}}, 401)

    with serving(answer) as server, pytest.raises(ServerError) as caught:
        answers(engine(f"{server.url}/?api-version=2026-secret"), requests("a"))
    assert server.asked[0].path == "/v1/completions?api-version=2026-secret"
    assert "2026-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host:port/v1", "http://[::1/v1"]
)
def test_an_address_that_is_none_is_told_before_anything_is_sent(url: str):
    with pytest.raises(ServerError, match="`base_url` is not an address such as"):
        answers(engine(url), requests("a"))


def test_a_password_in_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    with serving(lambda _: Said({"error": {"message": "no for sesame-open"}}, 401)) as server:
        monkeypatch.setenv("XP_TEST_URL", server.url.replace("//", "//ali:sesame-open@"))
        asking = Engine(Settings(name="tiny", base_url_env="XP_TEST_URL"), None, Path("unused"))
        with pytest.raises(ServerError) as caught:
            answers(asking, requests("a"))
    assert "sesame" not in f"{caught.value} {asking.facts} {vars(asking)}"
    assert server.url in str(caught.value)
