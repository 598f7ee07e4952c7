from collections.abc import Iterable

import pytest

from dsl.data.source import Columns
from dsl.engines.contract import Decoding
from dsl.messages import _SYNONYMS, REDACTED, dotted, is_secret, nearest, scrub, shown, suggest
from dsl.methods.icl import Icl
from dsl.spec.experiment import Experiment
from dsl.steps.training_settings import Training
from dsl.values import Value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "`true`"),
        (1.5, "`1.5`"),
        ("a\n\x00b", r'the text "a\n\u0000b"'),
        ("x" * 100, 'the text "' + "x" * 58 + "…"),
        ([], "an empty list"),
        ([1, 2], "a list of 2 values"),
        ({"a": {"password": "hunter2"}}, "a mapping with `a`"),
    ],
)
def test_a_value_is_shown_in_words_short_and_without_its_content(value: object, words: str) -> None:
    assert shown(value) == words


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apiKey",
        "HF-TOKEN",
        "token",
        "judge_password",
        "client_secret",
        "credentials",
        "Authorization",
    ],
)
def test_nothing_is_shown_under_a_key_that_names_a_secret(key: str) -> None:
    for value in ("hunter2", 1234, ["hunter2"], {"hunter2": 1}):
        assert shown(value, ("judges", key)) == REDACTED
        assert shown(value, (key, "value", 0)) == REDACTED


@pytest.mark.parametrize("key", ["max_new_tokens", "tokenizer", "secretary", "keys", "n_tokens"])
def test_settings_that_only_sound_like_secrets_are_shown(key: str) -> None:
    assert shown("abc", (key,)) == 'the text "abc"'


@pytest.mark.parametrize(
    "value",
    [
        "sk-1",
        "hf_x",
        " sk-1",
        "ghp_abc",
        "${OPENAI_API_KEY}",
        "key ${HOME}",
        "Bearer abc",
        "https://me:pass@host/v1",
        "-----BEGIN KEY",
        "AKIAX",
    ],
)
def test_what_looks_like_a_secret_is_not_shown_under_any_key(value: str) -> None:
    assert shown(value, ("name",)) == REDACTED


@pytest.mark.parametrize("value", ["sk-SK", "sk-Latn", "skill", "https://host:8000/v1", "task-sk-1", "hfx"])
def test_what_does_not_look_like_a_secret_is_shown(value: str) -> None:
    assert not is_secret(value, ("name",))


def test_a_variable_name_is_shown_and_a_key_put_in_its_place_is_not() -> None:
    assert shown("JUDGE_KEY", ("api_key_env",)) == 'the text "JUDGE_KEY"'
    assert shown("3f2a9c0d", ("api_key_env",)) == REDACTED
    assert shown("AKIAIOSFODNN7EXAMPLE", ("api_key_env",)) == REDACTED


def test_a_model_may_be_called_hf_tiny() -> None:
    assert scrub("models.hf_tiny: no such model") == "models.hf_tiny: no such model"


def test_suggest_names_the_near_miss_or_else_what_is_allowed() -> None:
    assert suggest("beeta", ["alpha", "beta"]) == "Did you mean `beta`?"
    assert suggest("Learning-Rate", ["learning_rate", "beta"]) == "Did you mean `learning_rate`?"
    assert suggest("x", ["alpha", "beta"]) == "Allowed: `alpha`, `beta`."
    assert suggest("x", [str(n) * 3 for n in range(30)]).endswith("`232323` and 6 more.")
    assert suggest("x", []) == ""


@pytest.mark.parametrize(
    ("word", "allowed", "meant"),
    [
        ("epochs", Training.model_fields, "`num_train_epochs`"),
        ("lr", Training.model_fields, "`learning_rate`"),
        ("batch-size", Training.model_fields, "`per_device_train_batch_size`"),
        ("temp", Decoding.model_fields, "`temperature`"),
        ("max_tokens", Decoding.model_fields, "`max_new_tokens`"),
        ("shots", Icl.model_fields, "`num_fewshot`"),
        ("prompt", Columns.model_fields, "`instruction`"),
        ("question", Columns.model_fields, "`instruction`"),
        ("completion", Columns.model_fields, "`response`"),
        ("output", Columns.model_fields, "`response`"),
        ("answer", Columns.model_fields, "`response` or `answers`"),
        ("id", Columns.model_fields, "`item`"),
        ("dataset", Experiment.model_fields, "`data`"),
    ],
)
def test_a_word_of_other_tools_is_known_by_what_it_is_called_here(
    word: str, allowed: Iterable[str], meant: str
) -> None:
    assert suggest(word, allowed) == f"Did you mean {meant}?"


def test_every_setting_with_synonyms_is_one() -> None:
    values = list(Value.__subclasses__())
    for value in values:
        values += value.__subclasses__()
    settings = {name for value in values for name in value.model_fields}
    assert set(_SYNONYMS) <= settings


def test_nearest_takes_no_time_for_a_megabyte() -> None:
    assert nearest("beta" * 250_000, ["beta"] * 100) is None


def test_a_path_is_written_as_people_write_it() -> None:
    assert dotted(("methods", "dpo_base", "beta")) == "methods.dpo_base.beta"
    assert dotted(("languages", 2)) == "languages[2]"
    assert dotted(("a b", "", 0, "hf_token")) == '["a b"][""][0].hf_token'
    assert dotted(()) == ""
