from pathlib import Path
from time import perf_counter

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.echo import Settings
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.echo import Engine


def echoed(prompt: Prompt, max_new_tokens: int = 16) -> EngineAnswer:
    engine = Engine(Settings(), None, Path("unused"))
    (answer,) = engine.generate(
        [EngineRequest(key="a", prompt=prompt)], Decoding(max_new_tokens=max_new_tokens)
    )
    return answer


def test_a_text_prompt_is_answered_with_its_question_and_not_with_its_tags_or_fences():
    answer = echoed(
        Prompt(
            text="# Instruction\nBe brief.\n\n# Query:\n```\nWhy is the sky blue?\n```\n\n# Answer:\n```\n"
        )
    )
    assert (answer.text, answer.raw_text, answer.finish_reason) == (
        "Why is the sky blue?",
        "Why is the sky blue?",
        "eos",
    )
    assert answer.n_new_tokens == 5


def test_a_chat_is_answered_with_its_last_message():
    assert echoed(Prompt(messages=(("system", "Be brief."), ("user", "Why?")))).text == "Why?"


def test_a_long_question_is_cut_by_length_and_says_so():
    answer = echoed(Prompt(text="one two three"), max_new_tokens=2)
    assert (answer.text, answer.finish_reason, answer.n_new_tokens) == ("one two", "length", 2)
    assert echoed(Prompt(text="one two"), max_new_tokens=2).finish_reason == "eos"


def test_an_empty_prompt_has_an_empty_answer():
    assert (echoed(Prompt(text="")).text, echoed(Prompt(text="")).error) == ("", None)


def test_an_answer_takes_as_long_as_it_is_told_to():
    engine = Engine(Settings(seconds_per_row=0.1), None, Path("unused"))
    asked = [EngineRequest(key=key, prompt=Prompt(text=key)) for key in "ab"]
    began = perf_counter()
    assert [answer.key for answer in engine.generate(asked, Decoding())] == ["a", "b"]
    assert perf_counter() - began >= 0.2


def test_requests_differ_by_their_prompt_alone():
    engine = Engine(Settings(), None, Path("unused"))
    first, same, other = (
        EngineRequest(key=key, prompt=Prompt(text=text)) for key, text in (("a", "x"), ("b", "x"), ("c", "y"))
    )
    assert engine.identify(first) == engine.identify(same) != engine.identify(other)
