"""Names of models that servers give, beside those that they were asked for."""

import pytest

from warehouse.report.caveats import caveats
from warehouse.served_models import ServedModels, is_form_of


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4", "gpt-4-0613"),
        ("claude-sonnet-4", "claude-sonnet-4-20250514"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219"),
        ("gemini-1.5-pro", "models/gemini-1.5-pro-002"),
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("qwen3-8b", "Qwen/Qwen3-8B"),
        ("llama3", "llama3:latest"),
        ("llama3:latest", "llama3"),
        ("llama3", "llama3:8b-q4"),
        ("tiny", "/models/tiny.gguf"),
        ("judge", "judge-v1.1"),
    ],
)
def test_a_dated_tagged_or_shorter_name_is_the_model_that_was_asked(asked: str, served: str) -> None:
    assert is_form_of(asked, served)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13"),
        ("gpt-4", "gpt-4-turbo"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-4B"),
        ("llama3:8b", "llama3:1b"),
        ("m", "some-other-model"),
    ],
)
def test_another_size_kind_or_date_is_another_model(asked: str, served: str) -> None:
    assert not is_form_of(asked, served)


def test_another_model_is_a_heavy_caveat_and_several_are_a_lighter_one() -> None:
    other = ServedModels(others=("`m` was asked for, and `n` answered: 6 answers",))
    several = ServedModels(several=("`m` was answered by `m-1`, `m-2` within one step",))
    (heavy,) = caveats([], [], [], served=other)
    (light,) = caveats([], [], [], served=several)
    assert (heavy.weight, light.weight) == (4, 2)
    assert heavy.whole == (
        "Another model answered than was asked: `m` was asked for, and `n` answered: 6 answers."
    )
    assert light.whole == "Several models answered: `m` was answered by `m-1`, `m-2` within one step."
    assert not caveats([], [], [])
