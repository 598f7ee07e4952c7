"""The `decision` judge against servers with `/v1/systemone`: a real one, and one that answers or misbehaves
as a test says."""

import json
import logging
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Provenance, Verdict
from dsl.errors import ServerError
from dsl.judges._decision_model import SystemOne
from runners.judges import decision
from runners.judges._model_judges.decide import Decided, Question, decide
from runners.judges.contract import NO_REPLY, Tools
from tests.runners.engines.fake_server import SOON, Asked, Running, Said, serving
from tests.runners.judges.answers import answer, no_model, verdicts

pytestmark = pytest.mark.slow

KEY = "ts-9fK2mQ7xW4tB8nR1"


def decided(asked: Asked, probabilities: list[float] | None = None, **more: object) -> Said:
    """A good answer to the one question that was asked."""
    (name, question), *_ = asked.body["questions"].items()
    if question["type"] == "noul":
        said: dict[str, Any] = {"type": "noul", "noul": 0.75}
    else:
        options = (
            list(question["criteria"])
            if question["type"] == "choice"
            else [str(i) for i in range(len(question["criteria"]))]
        )
        shares = probabilities or [1 / len(options)] * len(options)
        said = {
            "type": question["type"],
            "confidence": 0.5,
            "probabilities": dict(zip(options, shares, strict=False)),
        }
    return Said(
        {"model": "jev-42", "answers": {name: said}, "usage": {"input_tokens": 7, "output_tokens": 0}, **more}
    )


def model(server: Running, **given: object) -> SystemOne:
    return SystemOne.model_validate({"name": "jev", "base_url": server.url, "max_retries": 2, **given})


def levels(*texts: str) -> list[Question]:
    return [Question({"answer": text}, "How polite is it?", ("rude", "fair", "polite")) for text in texts]


def ask(server: Running, *questions: Question, **given: object) -> dict[int, Decided]:
    return {one.place: one for one in decide(model(server, **given), questions, Tools(no_model, Path()))}


def test_one_question_is_one_request_in_the_form_of_the_api() -> None:
    with serving(decided) as server:
        ask(
            server,
            *levels("Go away."),
            Question({"answer": "a"}, "Is it polite?"),
            Question({"answer": "b"}, "Which?", {"x": "an x", "y": "a y"}),
        )
    assert {asked.path for asked in server.asked} == {"/v1/systemone"}
    by_type = {asked.body["questions"]["asked"]["type"]: asked.body for asked in server.asked}
    assert by_type["score"]["state"] == {"answer": "Go away."}
    assert by_type["score"]["questions"]["asked"]["criteria"] == ["rude", "fair", "polite"]
    assert by_type["choice"]["questions"]["asked"]["criteria"] == {"x": "an x", "y": "a y"}
    assert "criteria" not in by_type["noul"]["questions"]["asked"]
    assert {body["model"] for body in by_type.values()} == {"jev"}


def test_a_verdict_keeps_the_distribution_the_tokens_the_cost_and_the_model_that_answered() -> None:
    with serving(
        lambda asked: decided(asked, [0.1, 0.0, 0.0, 0.0, 0.9], system_fingerprint="fp-7")
    ) as server:
        settings = decision.Settings(
            model=model(server, usd_per_million_prompt_tokens=100), aspects=("clarity",)
        )
        (found,) = verdicts(settings, answer("Paris."), tools=Tools(no_model, Path()))
    assert found.score == pytest.approx(4.6)
    assert found.distribution == pytest.approx({"1": 0.1, "2": 0, "3": 0, "4": 0, "5": 0.9})
    assert (found.n_prompt_tokens, found.usd, found.model_served) == (7, pytest.approx(7e-4), "jev-42")
    assert found.provenance == Provenance(system_fingerprint="fp-7")
    assert (found.seconds or 0) > 0


def test_requests_go_out_at_once_and_answers_find_their_questions() -> None:
    def slowly(asked: Asked) -> Said:
        return Said(decided(asked, [1, 0, 0] if "Go" in asked.prompt else [0, 0, 1]).body, seconds=0.05)

    with serving(slowly) as server:
        found = ask(server, *levels(*["Go away.", "Thank you."] * 8), max_concurrency=4)
    assert [(found[i].probabilities or {})["1"] for i in range(16)] == [1, 0] * 8
    assert 1 < server.most_at_once <= 4


def test_a_server_that_stands_four_at_once_is_soon_not_asked_for_more() -> None:
    def answers(asked: Asked) -> Said:
        return Said("too many", 429, SOON) if asked.at_once > 4 else Said(decided(asked).body, seconds=0.02)

    with serving(answers) as server:
        found = ask(server, *levels(*map(str, range(60))), max_concurrency=16, max_retries=6)
    assert all(one.probabilities for one in found.values())
    assert len(found) == 60
    assert len(server.asked) < 90


@pytest.mark.parametrize(
    "said",
    [Said("slow down", 429, SOON), Said("busy", 503, SOON), Said("oops", 500, SOON)],
    ids=["429", "503", "500"],
)
def test_a_server_that_fails_for_a_moment_is_asked_again(said: Said) -> None:
    with serving(lambda asked: decided(asked) if asked.n_before else said) as server:
        found = ask(server, *levels("a"))
    assert found[0].probabilities is not None
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_the_server_refuses_is_an_error_of_its_row(status: int) -> None:
    with serving(
        lambda asked: (
            Said({"detail": "too long"}, status) if "a" in asked.prompt.split(":")[1] else decided(asked)
        )
    ) as server:
        found = ask(server, *levels("a", "o", "u"), max_concurrency=1)
    assert found[0].probabilities is None
    assert (found[0].error or "").startswith(NO_REPLY)
    assert "too long" in (found[0].error or "")
    assert [found[i].probabilities is None for i in (1, 2)] == [False, False]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"answers": {}}, "does not hold a probability"),
        ({"answers": {"asked": {"type": "score", "score": 1.0}}}, "does not hold a probability"),
        (
            {"answers": {"asked": {"type": "score", "probabilities": {"0": 0.5, "1": 0.5}}}},
            "for each of 0, 1, 2",
        ),
        (
            {"answers": {"asked": {"type": "score", "probabilities": {"0": 0.5, "1": 0.5, "2": 0.5}}}},
            "probabilities are none",
        ),
        (
            {"answers": {"asked": {"type": "score", "probabilities": {"0": -1, "1": 1, "2": 1}}}},
            "probabilities are none",
        ),
        (
            {"answers": {"asked": {"type": "score", "probabilities": {"0": "a", "1": 1, "2": 1}}}},
            "does not hold a probability",
        ),
    ],
)
def test_an_answer_without_proper_probabilities_is_no_decision(body: dict[str, Any], why: str) -> None:
    with serving(lambda _: Said(body)) as server:
        found = ask(server, *levels("a"))
    assert found[0].probabilities is None
    assert why in (found[0].error or "")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said("no", 401), "does not let us use jev"),
        (Said("no", 403), "does not let us use jev"),
        (Said("nothing here", 404), "/v1/systemone is added"),
        (Said({"detail": "no such model"}, 422), "no such model"),
        (Said("gone", 503, SOON), "in 3 tries"),
        (Said("<html>", 200, {"content-type": "text/html", **SOON}), "text/html that is not JSON"),
        (Said({"choices": []}), "has not the form of the API: answers"),
    ],
    ids=["401", "403", "404", "422 for all", "503", "HTML", "another API"],
)
def test_a_server_that_decides_nothing_is_refused_at_once(said: Said, words: str) -> None:
    with serving(lambda _: said) as server, pytest.raises(ServerError, match=words):
        ask(server, *levels(*"abcdefgh"), max_concurrency=1)
    assert len(server.asked) <= 6  # the question, and one that no server refuses


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    gone = SystemOne(name="jev", base_url=url, max_retries=0)
    with pytest.raises(ServerError, match=f"{url} did not answer for jev at the only try"):
        list(decide(gone, levels("a"), Tools(no_model, Path())))


def test_an_answer_that_trickles_in_is_given_up() -> None:
    began = time.perf_counter()
    with (
        serving(lambda asked: Said(decided(asked).body, trickle=200)) as server,
        pytest.raises(ServerError, match=r"no answer within 0\.3 s"),
    ):
        ask(server, *levels("a"), timeout=0.3, max_retries=0)
    assert time.perf_counter() - began < 5


def test_what_was_decided_before_the_server_went_down_is_kept() -> None:
    def answers(asked: Asked) -> Said:
        return decided(asked) if '"a"' in asked.prompt else Said("gone", 503)

    kept: list[Decided] = []
    with serving(answers) as server, pytest.raises(ServerError):
        kept.extend(
            decide(model(server, max_concurrency=1, max_retries=0), levels("a", "b"), Tools(no_model, Path()))
        )
    assert [one.place for one in kept if one.probabilities] == [0]


def echo(asked: Asked) -> str:
    return f"you sent {asked.headers['authorization']}"


@pytest.mark.parametrize(
    "said",
    [
        lambda asked: Said({"detail": echo(asked)}, 422),
        lambda asked: Said({"detail": echo(asked)}, 401),
        lambda asked: Said(echo(asked), 503, SOON),
        lambda asked: decided(asked, model=echo(asked)),
        lambda asked: Said({"answers": {"asked": {"type": "score", "probabilities": {echo(asked): 1}}}}),
    ],
    ids=["422", "401", "503", "as the model", "as an option"],
)
def test_a_server_that_repeats_the_key_puts_it_nowhere(
    said: Callable[[Asked], Said],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XP_TEST_KEY", KEY)
    for name in ("", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)
    seen = []
    with serving(said) as server:
        try:
            seen += [
                repr(one)
                for one in ask(server, *levels("a"), api_key_env="XP_TEST_KEY", max_retries=1).values()
            ]
        except ServerError as error:
            seen += [str(error), repr(error.__cause__), repr(error.__context__)]
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert KEY not in "\n".join([*seen, caplog.text, *capfd.readouterr()])


def test_no_key_of_the_environment_goes_to_a_server_that_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TYPESAFE_API_KEY", KEY)
    monkeypatch.setenv("TYPESAFE_DEFAULT_MODEL", "other")
    with serving(decided) as server:
        ask(server, *levels("a"))
    assert server.asked[0].headers["authorization"] == "Bearer none"
    assert server.asked[0].body["model"] == "jev"


# ---------------------------------------------------------------- a real server


@pytest.fixture(scope="module")
def sparrow() -> Iterator[str]:
    """The address of a small decision model's own server."""
    if find_spec("sparrow_decider") is None:
        pytest.skip(
            "the package sparrow-decider, which carries a decision model and its server, is not installed"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "sparrow_decider.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_a_real_decision_server_judges_aspects_and_own_questions(sparrow: str) -> None:
    def judged(**given: Any) -> list[Verdict]:
        settings = decision.Settings.model_validate(
            {"model": {"engine": "systemone", "name": "nano", "base_url": sparrow}, **given}
        )
        return verdicts(
            settings, answer("I was charged twice and I want my money back!"), tools=Tools(no_model, Path())
        )

    for one in judged():
        assert 1 <= (one.score or 0) <= 5
        assert sum((one.distribution or {}).values()) == pytest.approx(1)
        assert one.model_served == "sparrow-nano-general-v1.1"
    (money,) = judged(questions={"refund": {"question": "Is the user asking for money back?"}})
    assert money.score == (money.distribution or {})["1"]
    assert json.loads(money.model_dump_json())["unscored_reason"] is None
