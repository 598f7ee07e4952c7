import gzip
import json
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import pytest

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.openai import Settings
from dsl.errors import ServerError, XpError
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.openai import Engine
from tests.runners.engines.fake_server import (
    SOON,
    Asked,
    Running,
    Said,
    answers,
    chat,
    completion,
    engine,
    requests,
    serving,
)

WHY = Prompt(text="Why?")


def one(said: Said, prompt: Prompt = WHY) -> EngineAnswer:
    """The answer where the server always says the same."""
    with serving(lambda _: said) as server:
        return answers(engine(server), [EngineRequest(key="a", prompt=prompt)])["a"]


def failing(server: Running | str, n_rows: int = 1, **settings: Any) -> str:
    with pytest.raises(ServerError) as caught:
        answers(engine(server, **settings), requests(*map(str, range(n_rows))))
    return str(caught.value)


# ---------------------------------------------------------------- what is sent, what comes back


def test_a_text_goes_to_completions_with_the_decoding_and_the_first_four_stop_strings():
    with serving(lambda _: completion("fine")) as server:
        prompt = Prompt(text="Why?", stop_strings=("# Query", "# User", "a", "b", "c"))
        asking = engine(server)
        answers(asking, [EngineRequest(key="a", prompt=prompt)], max_new_tokens=5)
        assert asking.facts == {"server": server.url.split("/")[2], "name": "tiny"}
    (asked,) = server.asked
    assert asked.path == "/v1/completions"
    assert asked.body == {
        "model": "tiny",
        "prompt": "Why?",
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "stop": ["# Query", "# User", "a", "b"],
    }


def test_messages_go_to_chat_completions():
    prompt = Prompt(messages=(("system", "Be brief."), ("user", "Why?")))
    with serving(lambda _: chat("Because.")) as server:
        answer = answers(engine(server), [EngineRequest(key="a", prompt=prompt)])["a"]
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
    ]
    assert (answer.text, json.loads(answer.prompt_text)) == ("Because.", asked.body["messages"])


def test_a_rows_seed_and_what_openai_does_not_know_are_sent_where_they_count():
    with serving(lambda _: completion("fine")) as server:
        request = EngineRequest(key="a", prompt=Prompt(text="Why?"), seed=2**62 + 1)
        answers(engine(server), [request], temperature=0.7, top_p=0.9, top_k=40, repetition_penalty=1.1)
    body = server.asked[0].body
    assert [body[name] for name in ("seed", "temperature", "top_p", "top_k", "repetition_penalty")] == [
        2**62 + 1,
        0.7,
        0.9,
        40,
        1.1,
    ]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_does_not_know_values_beyond_openais_is_not_sent_them_where_they_are_off(status: int):
    with serving(
        lambda asked: (
            Said({"error": "unknown: min_p"}, status) if "min_p" in asked.body else completion("fine")
        )
    ) as server:
        found = answers(engine(server, max_concurrency=1), requests("a", "b", "c"))
        assert {answer.text for answer in found.values()} == {"fine"}
    assert ["min_p" in asked.body for asked in server.asked] == [True, False, False, False]


def test_a_decoding_that_is_the_models_own_is_left_to_the_server():
    with serving(lambda _: completion("fine")) as server:
        answers(engine(server), requests("a"), source="model")
    assert server.asked[0].body.keys() == {"model", "prompt", "max_tokens"}


def test_arguments_of_the_chat_template_are_sent_and_thinking_is_cut_from_the_answer():
    prompt = Prompt(messages=(("user", "Why?"),), chat_template_kwargs=(("enable_thinking", False),))
    with serving(lambda _: chat("<think>\nHm.\n</think>\n\nBecause.")) as server:
        answer = answers(engine(server), [EngineRequest(key="a", prompt=prompt)])["a"]
    assert server.asked[0].body["chat_template_kwargs"] == {"enable_thinking": False}
    assert (answer.text, answer.raw_text) == ("Because.", "<think>\nHm.\n</think>\n\nBecause.")


def test_an_answer_in_a_fence_ends_where_that_is_closed():
    answer = one(
        completion("So.\n```\n\n# Question:", "length"), Prompt(text="Why?\n```\n", ends_at_fence=True)
    )
    assert (answer.text, answer.finish_reason, answer.stop_string) == ("So.\n", "stop", "```")


def test_a_prompt_with_half_of_a_surrogate_pair_can_be_sent():
    with serving(lambda _: completion("fine")) as server:
        assert answers(engine(server), requests("half \ud83d"))["half \ud83d"].text == "fine"
    assert server.asked[0].prompt == "half \ud83d"


def test_an_answer_with_half_of_a_surrogate_pair_can_be_written():
    answer = one(completion("half \ud83d"))
    assert (answer.text, answer.finish_reason) == ("half ?", "eos")


def test_an_answer_keeps_its_counts_its_time_and_the_model_that_the_server_names():
    answer = one(Said({**completion("fine").body, "system_fingerprint": "fp-7"}, seconds=0.2))
    assert answer.system_fingerprint == "fp-7"
    assert (answer.text, answer.raw_text, answer.error) == ("fine", "fine", None)
    assert (answer.n_prompt_tokens, answer.n_new_tokens, answer.model_served) == (7, 3, "served-42")
    assert answer.seconds is not None
    assert 0.2 <= answer.seconds < 5


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (completion(" done"), (" done", "eos", None)),
        (completion(" cut", "length"), (" cut", "length", None)),
        (completion(" one # Query two"), (" one ", "stop", "# Query")),
        (completion(" one # Query two", "length"), (" one ", "stop", "# Query")),
        (completion(" the fifth of them # Query"), (" the fifth", "stop", " of")),
        (completion(" vllm", stop_reason="# Query"), (" vllm", "stop", "# Query")),
        (completion(" sglang", matched_stop="# Query"), (" sglang", "stop", "# Query")),
        (completion(" token", stop_reason=128009), (" token", "eos", None)),
        (completion(" null", stop_reason=None), (" null", "eos", None)),
    ],
)
def test_the_answer_is_cut_at_its_first_stop_string_whoever_finds_it(
    said: Said, expected: tuple[str, str, str | None]
):
    answer = one(said, Prompt(text="Why?", stop_strings=("# Query", "# 2", "# 3", "# 4", " of", "")))
    assert (answer.text, answer.finish_reason, answer.stop_string) == expected
    assert expected[0] in (answer.raw_text or "")


def test_an_empty_answer_is_an_empty_text():
    answer = one(completion(""))
    assert (answer.text, answer.finish_reason, answer.error) == ("", "eos", None)


def test_a_chat_models_refusal_is_what_it_says():
    reply: Any = chat(None).body
    reply["choices"][0]["message"]["refusal"] = "I cannot."
    assert one(Said(reply), Prompt(messages=(("user", "Why?"),))).text == "I cannot."


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def saying(**message: Any) -> Said:
    """A chat's answer with this message."""
    return Said({"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}]})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (completion("half of", "content_filter"), "the server's content filter withheld the answer"),
        (completion(None), "the reply holds no text (stop)"),
        (completion(None, "length"), "the reply holds no text (length)"),
        (Said({"choices": [{}]}), "the reply holds no text"),
        (Said({"choices": [{"message": {}}]}), "the reply holds no text"),
        (saying(content=None, reasoning_content="Let me think"), "the reply holds no text (stop)"),
        (saying(content=None, tool_calls=[CALL]), "the reply is a tool call and holds no text"),
        (saying(content="", tool_calls=[CALL]), "the reply is a tool call and holds no text"),
        (
            saying(content=None, function_call={"name": "f", "arguments": "{}"}),
            "the reply is a tool call and holds no text",
        ),
    ],
)
def test_a_reply_without_text_is_missing_with_its_reason_and_is_not_asked_for_again(said: Said, words: str):
    with serving(lambda _: said) as server:
        answer = answers(engine(server), requests("Why?"))["Why?"]
    assert (answer.text, answer.raw_text, answer.finish_reason, answer.error) == (
        None,
        None,
        "missing",
        words,
    )
    assert not answer.is_transient
    assert len(server.asked) == 1


def test_a_tool_call_beside_a_text_leaves_the_text():
    assert one(saying(content="Six.", tool_calls=[CALL]), Prompt(messages=(("user", "Why?"),))).text == "Six."


@pytest.mark.parametrize(
    "spoilt",
    [
        {"usage": {"prompt_tokens": 7, "completion_tokens": 3.5}},
        {"usage": {"prompt_tokens": 7, "completion_tokens": "many"}},
        {"usage": {"prompt_tokens": 7, "completion_tokens": -3}},
        {"usage": {"prompt_tokens": 7, "completion_tokens": 10**30}},
        {"usage": "many"},
        {"usage": [1, 2]},
        {"model": {"name": "served"}},
        {"model": 42},
        {"choices": [{"text": "fine", "finish_reason": 17}]},
        {"choices": [{"text": "fine", "stop_reason": ["a"], "matched_stop": {"a": 1}}]},
        {"choices": [{"text": "fine", "stop_reason": 1.5}]},
    ],
)
def test_a_malformed_detail_costs_only_the_detail(spoilt: dict[str, Any]):
    answer = one(Said({"choices": [{"text": "fine", "finish_reason": "stop"}], **spoilt}))
    assert (answer.text, answer.finish_reason, answer.error, answer.n_new_tokens) == (
        "fine",
        "eos",
        None,
        None,
    )


# ---------------------------------------------------------------- a server that misbehaves for a while


def test_after_429_it_waits_as_long_as_the_server_says():
    with serving(
        lambda asked: (
            completion("fine") if asked.n_before else Said("slow down", 429, {"retry-after-ms": "700"})
        )
    ) as server:
        began = perf_counter()
        assert answers(engine(server), requests("a"))["a"].text == "fine"
    assert 0.7 <= perf_counter() - began < 5  # its own first pause is at most half a second


@pytest.mark.parametrize(
    "said",
    [
        Said({"error": {"message": "overloaded"}}, 500, SOON),
        Said("<html>Bad gateway</html>", 502, SOON),
        Said('{"choices": [{"text": "fi', 200, SOON),
        Said(b"\xff\xfe", 200, SOON),
        Said("[]", 200, SOON),
        Said('{"choices": ' + "[" * 100_000, 200, SOON),
        Said('{"error": ' + "[" * 600 + "]" * 600 + "}", 200, SOON),
        Said("null", 200, SOON),
        Said("", 200, SOON),
        Said("", 204, {"content-length": "0", **SOON}),
        Said({"error": {"message": "model overloaded"}}, 200, SOON),
        Said(
            {**dict(completion("half an answer").body), "error": {"message": "upstream is gone"}}, 200, SOON
        ),  # pyright: ignore
        Said({"detail": "Hello"}, 200, SOON),
        Said({"choices": []}, 200, SOON),
        Said({"choices": {"text": "fine"}}, 200, SOON),
        Said({"choices": [{"text": ["a", "list"]}]}, 200, SOON),
        Said(completion("half an answer", "error").body, 200, SOON),
        Said(completion("fine").body, headers={"content-length": "2000", "connection": "close", **SOON}),
        Said(b"this is not packed", headers={"content-encoding": "gzip", **SOON}),
        Said(gzip.compress(b"{}", mtime=0)[:-6], headers={"content-encoding": "gzip", **SOON}),
        Said(b"?", headers={"content-encoding": "br", **SOON}),
        Said(completion("late").body, seconds=1.5),
        Said(completion("trickling").body, trickle=30),
    ],
    ids=lambda said: str(said.body)[:30],
)
def test_it_asks_again_after(said: Said):
    with serving(lambda asked: completion("fine") if asked.n_before == 2 else said) as server:
        assert answers(engine(server, timeout=0.4), requests("a"))["a"].text == "fine"
    assert len(server.asked) == 3


def test_many_rows_are_each_asked_once_and_never_more_at_once_than_allowed():
    texts = [str(n) for n in range(150)]
    with serving(lambda asked: Said(completion(f"to {asked.prompt}").body, seconds=0.01)) as server:
        found = answers(engine(server, max_concurrency=3), requests(*texts))
    assert {key: answer.text for key, answer in found.items()} == {text: f"to {text}" for text in texts}
    assert sorted(asked.prompt for asked in server.asked) == sorted(texts)
    assert server.most_at_once == 3


def test_answers_come_as_they_are_finished():
    with serving(
        lambda asked: Said(completion("fine").body, seconds=0.6 if asked.prompt == "slow" else 0.0)
    ) as server:
        assert [answer.key for answer in engine(server).generate(requests("slow", "b", "c"), Decoding())][
            -1
        ] == "slow"


def test_a_closed_iterator_sends_no_more_and_does_not_wait_for_a_pause():
    def answer(asked: Asked) -> Said:
        return Said("later", 429, {"retry-after": "60"}) if asked.prompt == "1" else completion("fine")

    with serving(answer) as server:
        began = perf_counter()
        running = engine(server, max_concurrency=2).generate(requests(*map(str, range(200))), Decoding())
        next(running)
        running.close()
        sleep(0.3)  # what was on its way arrives
        n_asked = len(server.asked)
        sleep(0.3)
        assert len(server.asked) == n_asked <= 10
    assert perf_counter() - began < 10


def test_a_consumer_that_takes_no_answers_is_not_sent_them_all():
    with serving(lambda _: completion("fine")) as server:
        running = engine(server, max_concurrency=2).generate(requests(*map(str, range(60))), Decoding())
        next(running)
        sleep(0.5)
        assert len(server.asked) <= 8
        assert sum(1 for _ in running) == 59


# ---------------------------------------------------------------- a row at fault


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_prompt_that_the_server_refuses_is_an_error_of_its_row(status: int, concurrency: int):
    def answer(asked: Asked) -> Said:
        return (
            Said({"detail": "5000 tokens do not fit"}, status) if asked.prompt == "a" else completion("fine")
        )

    with serving(answer) as server:
        found = answers(engine(server, max_concurrency=concurrency), requests("a", "b", "c"))
    assert (found["a"].text, found["a"].finish_reason) == (None, "error")
    assert found["a"].error == f"the server refused this prompt ({status}): 5000 tokens do not fit"
    assert [found[key].text for key in "bc"] == ["fine", "fine"]


def test_a_refusal_after_an_answer_needs_no_trial_whose_fault_it_is():
    with serving(
        lambda asked: Said("too long", 400) if asked.prompt in "bc" else completion("fine")
    ) as server:
        found = answers(engine(server, max_concurrency=1), requests("a", "b", "c"))
    assert [asked.prompt for asked in server.asked] == ["a", "b", "c"]
    assert [found[key].finish_reason for key in "abc"] == ["eos", "error", "error"]


def test_a_prompt_on_which_the_server_always_fails_is_an_error_of_its_row():
    with serving(
        lambda asked: Said({"error": "boom"}, 500, SOON) if asked.prompt == "a" else completion("fine")
    ) as server:
        found = answers(engine(server), requests("a", "b"))
    assert found["a"].error == "the server failed on this prompt in 3 tries, and answers others (500): boom"
    assert found["b"].text == "fine"


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    "said",
    [
        Said(completion("late").body, seconds=1.0),
        Said("<html>Bad gateway</html>", 502, SOON),
        Said({"error": "quota"}, 429, SOON),
        Said("<html>Log in</html>", 200, {"content-type": "text/html", **SOON}),
        Said("", 200, SOON),
        Said('{"choices":', 200, {"content-length": "9999", "connection": "close"}),
        Said({"error": {"message": "model overloaded"}}, 200, SOON),
        Said({"get": True}, 200, SOON),
    ],
    ids=lambda said: f"{said.status} {str(said.body)[:20]}" if isinstance(said, Said) else None,
)
def test_a_prompt_on_which_the_server_stumbles_costs_its_row_and_may_be_answered_another_time(
    said: Said, concurrency: int
):
    with serving(lambda asked: said if asked.prompt == "a" else completion("fine")) as server:
        found = answers(
            engine(server, max_concurrency=concurrency, max_retries=1, timeout=0.4), requests("a", "b", "c")
        )
    assert (found["a"].text, found["a"].finish_reason, found["a"].is_transient) == (None, "error", True)
    assert (found["a"].error or "").startswith(
        "the server failed on this prompt in 2 tries, and answers others"
    )
    assert [found[key].text for key in "bc"] == ["fine", "fine"]


@pytest.mark.parametrize("status", [401, 403, 404, 451])
def test_a_gateway_that_bars_one_prompt_costs_its_row(status: int):
    with serving(
        lambda asked: Said("blocked by a rule", status) if asked.prompt == "a" else completion("fine")
    ) as server:
        found = answers(engine(server), requests("a", "b"))
    assert found["a"].error == f"the server refused this prompt ({status}): blocked by a rule"
    assert (found["a"].is_transient, found["b"].text) == (False, "fine")


@pytest.mark.parametrize("packed", [False, True])
def test_a_reply_without_end_is_read_up_to_a_limit(packed: bool):
    body = completion("A" * 20_000_000).body
    endless = (
        Said(gzip.compress(json.dumps(body).encode()), headers={"content-encoding": "gzip"})
        if packed
        else Said(body)
    )
    with serving(lambda asked: endless if asked.prompt == "a" else completion("fine")) as server:
        found = answers(engine(server), requests("a", "b"))
    assert found["a"].error == "the server refused this prompt: the reply is larger than 16 MB"
    assert found["b"].text == "fine"


def test_a_packed_reply_is_unpacked():
    packed = gzip.compress(json.dumps(completion("fine").body).encode())
    assert one(Said(packed, headers={"content-encoding": "gzip"})).text == "fine"


@pytest.mark.parametrize("status", [307, 308])
def test_no_redirect_to_another_server_is_followed(status: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XP_TEST_KEY", "sk-a-key-that-nobody-else-may-see")
    with serving(lambda _: completion("stolen")) as other:
        for elsewhere in (other.url, other.url.replace("127.0.0.1", "localhost")):
            moved = Said("", status, {"location": f"{elsewhere}/completions"})
            with serving(lambda _, moved=moved: moved) as server:
                assert "it redirects to another address" in failing(server, api_key_env="XP_TEST_KEY")
    assert other.asked == []


def test_a_redirect_within_the_server_is_followed():
    def moved(asked: Asked) -> Said:
        return (
            completion("fine")
            if asked.path == "/v2/completions"
            else Said("", 308, {"location": "/v2/completions"})
        )

    with serving(moved) as server:
        assert answers(engine(server), requests("a"))["a"].text == "fine"


@pytest.mark.parametrize("location", ["/v1/completions", "file:///etc/passwd", "http://[", ""])
def test_a_redirect_to_nowhere_is_told(location: str):
    with serving(lambda _: Said("", 307, {"location": location})) as server:
        assert f"{server.url} did not answer for tiny" in failing(server, max_retries=0)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTP_PROXY", "ftp://proxy:21", "HTTP_PROXY"),
        ("all_proxy", "socks9://proxy", "ALL_PROXY"),
        ("HTTPS_PROXY", "http://[::1", "HTTPS_PROXY"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem", "SSL_CERT_FILE"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_told_by_their_variable(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, value)
    told = failing("http://localhost:9/v1")
    assert "http://localhost:9/v1 cannot be asked" in told
    assert words in told


@pytest.mark.parametrize(
    "address", ["http://exa mple/v1", f"http://{'a' * 70}/v1", "http://a\tb/v1", "http://\u200b/v1"]
)
def test_an_address_that_is_none_is_told(address: str):
    assert "http://" in failing(address, max_retries=0)


def test_a_setting_that_the_server_refuses_is_told_at_once_and_spoils_no_row():
    with serving(lambda asked: Said({"detail": "Unexpected fields: {'top_k'}"}, 422)) as server:
        words = failing(server, n_rows=50, max_concurrency=1)
    assert "Unexpected fields: {'top_k'}" in words
    assert server.url in words
    assert len(server.asked) == 4, (
        "the first prompt and a harmless one, each once more without values that are off"
    )


# ---------------------------------------------------------------- a server that stays down, or lets nobody in


def test_a_refused_connection_names_the_server_the_tries_and_the_reason():
    words = failing("http://127.0.0.1:9/v1", max_retries=1)
    assert "http://127.0.0.1:9/v1 did not answer for tiny in 2 tries" in words
    assert "Connect call failed" in words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said({"error": {"message": "no workers"}}, 503, SOON), "503: no workers"),
        (Said({"error": {"message": "boom"}}, 500, SOON), "500: boom"),
        (Said({"error": {"message": "quota"}}, 429, SOON), "429: quota. A smaller `max_concurrency`"),
        (Said("<html>welcome</html>", 200, {"content-type": "text/html", **SOON}), "text/html"),
    ],
)
def test_a_server_that_stays_down_is_told_with_its_last_words(said: Said, words: str):
    with serving(lambda _: said) as server:
        told = failing(server, n_rows=3)
    assert words in told
    assert f"{server.url} did not answer for tiny in 3 tries" in told


def test_a_time_out_names_the_setting():
    with serving(lambda _: Said(completion("late").body, seconds=0.6)) as server:
        assert "no answer within 0.2 s. A larger `timeout`" in failing(server, timeout=0.2, max_retries=0)


def test_rows_finished_before_the_server_went_down_are_given_out_first():
    with serving(
        lambda asked: completion("fine") if asked.prompt in "0123" else Said("gone", 503, SOON)
    ) as server:
        running = engine(server, max_concurrency=2).generate(requests(*map(str, range(9))), Decoding())
        assert sorted(next(running).key for _ in range(4)) == ["0", "1", "2", "3"]
        with pytest.raises(ServerError, match="503: gone"):
            next(running)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "the environment variable XP_TEST_KEY"),
        (403, "the environment variable XP_TEST_KEY"),
        (404, "`name` is the model"),
    ],
)
def test_who_is_not_let_in_is_told_at_once_what_to_do(
    status: int, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XP_TEST_KEY", "any-key")
    with serving(lambda _: Said({"error": {"message": "no"}}, status)) as server:
        told = failing(server, n_rows=30, api_key_env="XP_TEST_KEY", max_concurrency=1)
    assert len(server.asked) == 2
    assert words in told
    assert server.url in told
    assert "tiny" in told


# ---------------------------------------------------------------- what it is


def test_what_was_tuned_here_cannot_be_served():
    with pytest.raises(XpError, match="tiny is served"):
        Engine(Settings(name="tiny"), Path("tuned"), Path("unused"))


def test_a_request_is_known_by_all_of_its_prompt():
    asking = engine("http://127.0.0.1:9/v1")
    prompts = [
        Prompt(text="a"),
        Prompt(text="b"),
        Prompt(text="a", stop_strings=("#",)),
        Prompt(messages=(("user", "a"),)),
    ]
    assert len({asking.identify(EngineRequest(key="k", prompt=prompt)) for prompt in prompts}) == 4
    assert asking.identify(EngineRequest(key="k", prompt=prompts[0])) == asking.identify(
        EngineRequest(key="l", prompt=prompts[0])
    )


# ---------------------------------------------------------------- a JSON Schema for the answer

SCHEMA = '{"type": "object"}'


def asking_for_json(*questions: str) -> list[EngineRequest]:
    return [
        EngineRequest(key=q, prompt=Prompt(messages=(("user", q),), json_schema=SCHEMA)) for q in questions
    ]


def test_a_json_schema_is_sent_where_the_prompt_has_one():
    with serving(lambda _: chat("{}")) as server:
        answers(engine(server), asking_for_json("a"))
        answers(engine(server), requests("b"))
    held = server.asked[0].body["response_format"]
    assert (held["type"], held["json_schema"]["schema"]) == ("json_schema", {"type": "object"})
    assert "response_format" not in server.asked[1].body


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_a_json_schema_is_asked_without_and_not_again_with_one(status: int):
    with serving(
        lambda asked: Said("unknown field", status) if "response_format" in asked.body else chat("free")
    ) as server:
        found = answers(engine(server, max_concurrency=1), asking_for_json("a", "b", "c"))
    assert [answer.text for answer in found.values()] == ["free"] * 3
    assert ["response_format" in asked.body for asked in server.asked] == [True, True, False, False, False], (
        "once without values that are off"
    )


def test_requests_under_way_when_a_server_refuses_a_json_schema_lose_nothing():
    def refuses(asked: Asked) -> Said:
        # The last refusal comes long after the first one, when it is known that this server takes no schema.
        return (
            Said("no", 400, seconds=0.02 + 0.2 * (asked.prompt == "d"))
            if "response_format" in asked.body
            else chat("free")
        )

    with serving(refuses) as server:
        found = answers(engine(server, max_concurrency=4), asking_for_json(*"abcdefgh"))
    assert [answer.text for answer in found.values()] == ["free"] * 8


def test_a_prompt_that_is_refused_with_a_json_schema_and_without_leaves_the_schema_to_the_others():
    with serving(lambda asked: Said("too long", 400) if asked.prompt == "a" else chat("{}")) as server:
        found = answers(engine(server, max_concurrency=1), asking_for_json("a", "b"))
    assert "too long" in (found["a"].error or "")
    assert found["b"].text == "{}"
    assert "response_format" in server.asked[-1].body
