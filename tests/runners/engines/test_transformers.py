"""The engine's face on the tests' own model: whole prompts, stop strings, and rows that cannot be
answered."""

from pathlib import Path

import pytest

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.transformers import Engine
from runners.prompting.tokens import token_ids

TINY = Path(__file__).resolve().parents[2] / "fixtures" / "tiny"
QUERY = "\n# Query:\n```\nWhere does the zorbo live?\n```\n\n# Answer:\n```\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(Weights(path=str(TINY)), None, tmp_path_factory.mktemp("cache"))


def ask(engine: Engine, *prompts: Prompt, **decoding: float) -> list[EngineAnswer]:
    requests = [EngineRequest(key=str(n), prompt=prompt, seed=n) for n, prompt in enumerate(prompts)]
    return sorted(
        engine.generate(requests, Decoding.model_validate({"max_new_tokens": 12, **decoding})),
        key=lambda answer: answer.key,
    )


def test_a_text_prompt_is_continued_and_what_was_sent_is_kept(engine: Engine) -> None:
    (answer,) = ask(engine, Prompt(text=QUERY))
    assert answer.prompt_text == QUERY
    assert answer.n_new_tokens is not None
    assert 1 <= answer.n_new_tokens <= 12
    assert engine.facts["device"] in ("cpu", "cuda")
    assert engine.facts["n_parameters"] == engine._loaded.model.num_parameters()


def test_messages_go_through_the_projects_template_where_the_tokenizer_has_none(engine: Engine) -> None:
    (answer,) = ask(engine, Prompt(messages=(("user", "Where does the zorbo live?"),)))
    assert "Where does the zorbo live?" in answer.prompt_text
    assert answer.prompt_text != "Where does the zorbo live?"


def test_a_stop_string_cuts_the_answer_and_the_raw_text_is_kept(engine: Engine) -> None:
    (free,) = ask(engine, Prompt(text=QUERY))
    assert free.raw_text
    stop = free.raw_text[2:5]
    (cut,) = ask(engine, Prompt(text=QUERY, stop_strings=(stop,)))
    assert (cut.finish_reason, cut.stop_string) == ("stop", stop)
    assert cut.text == free.raw_text[: free.raw_text.index(stop)]
    assert cut.raw_text is not None
    assert stop in cut.raw_text


def test_a_prompt_that_leaves_no_room_is_an_error_of_its_row_and_the_others_are_answered(
    engine: Engine,
) -> None:
    too_long, fine = ask(engine, Prompt(text=QUERY * 60), Prompt(text=QUERY))
    assert (too_long.text, too_long.finish_reason) == (None, "error")
    assert too_long.error is not None
    assert "the model's 1024 positions leave no room for an answer" in too_long.error
    assert fine.text is not None


def test_the_context_ends_a_row_by_its_own_limit_and_not_by_that_of_the_longest_answer_allowed(
    engine: Engine,
) -> None:
    """So that an answer which a smaller `max_new_tokens` brought, and which is reused, is the one that a
    larger brings."""
    n_tokens = len(token_ids(engine._loaded.tokenizer, Prompt(text=QUERY * 20)))
    prompt = Prompt(text=QUERY * (1010 * 20 // n_tokens))
    (short,) = ask(engine, prompt, max_new_tokens=2)
    (long,) = ask(engine, prompt, max_new_tokens=256)
    assert short.n_prompt_tokens is not None
    assert 900 < short.n_prompt_tokens < 1024
    assert long.text is not None
    assert short.text is not None
    assert long.text.startswith(short.text)
    assert long.n_new_tokens is not None
    assert long.n_new_tokens + short.n_prompt_tokens <= 1024
    assert long.finish_reason == "eos" or long.n_new_tokens + short.n_prompt_tokens == 1024


def test_what_identifies_a_row_is_its_tokens_and_its_stop_strings(engine: Engine) -> None:
    def identity(prompt: Prompt) -> str:
        return engine.identify(EngineRequest(key="a", prompt=prompt))

    assert identity(Prompt(text=QUERY)) == identity(Prompt(text=QUERY))
    assert identity(Prompt(text=QUERY)) != identity(Prompt(text=QUERY + " "))
    assert identity(Prompt(text=QUERY)) != identity(Prompt(text=QUERY, stop_strings=("# Query",)))
    assert identity(Prompt(text=QUERY)) != identity(Prompt(text=QUERY, ends_at_fence=True))
