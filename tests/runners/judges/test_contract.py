import json
from pathlib import Path

from dsl.data.code_fingerprint import Sources, fingerprint, source_of
from dsl.engines.transformers import Weights
from runners.judges import code, contains, empty, ensemble, language, length, rubric
from runners.judges.contract import Answer
from runners.store.row_keys import Keys
from tests.runners.judges.answers import answer


def key(module, settings, one: Answer) -> str:
    (found,) = Keys(module, settings).of(one.example, one.completion).values()
    return found


def test_a_key_covers_what_the_judge_reads_and_nothing_else() -> None:
    one = answer("Paris.", answers=["Paris"])
    assert key(contains, contains.Settings(), one) == key(
        contains, contains.Settings(), answer("Paris.", instruction="Other?", answers=["Paris"])
    )
    assert key(contains, contains.Settings(), one) != key(
        contains, contains.Settings(), answer("Paris", answers=["Paris"])
    )
    assert key(contains, contains.Settings(), one) != key(
        contains, contains.Settings(), answer("Paris.", answers=["Paris", "Lutèce"])
    )
    assert key(language, language.Settings(), one) != key(
        language, language.Settings(), answer("Paris.", language="fr")
    )
    assert key(code, code.Settings(), one) != key(code, code.Settings(), answer("Paris.", category="coding"))


def test_a_key_covers_the_settings_and_the_judge() -> None:
    one = answer("Paris.")
    assert key(code, code.Settings(), one) != key(code, code.Settings(min_lines=9), one)
    assert key(language, language.Settings(languages=("en",)), one) != key(language, language.Settings(), one)
    assert key(length, length.Settings(), one) != key(empty, empty.Settings(), one)


def test_the_code_of_a_judge_that_decides_by_rule_is_part_of_its_keys(monkeypatch) -> None:
    one = answer("Paris.")
    members = ensemble.Settings(of=("a", "b"))
    read = {"a": [Answer(one.example, one.completion, {"length": "a" * 64}).scored("length", 1)]}
    before = (
        key(length, length.Settings(), one),
        Keys(ensemble, members).of(one.example, one.completion, verdicts=read),
    )
    monkeypatch.setattr("runners.store.row_keys.fingerprint", lambda *modules: f"of other code {modules}")
    after = (
        key(length, length.Settings(), one),
        Keys(ensemble, members).of(one.example, one.completion, verdicts=read),
    )
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_the_code_of_a_judge_that_asks_a_model_is_no_part_of_its_keys(monkeypatch) -> None:
    one = answer("Paris.")
    settings = rubric.Settings(model=Weights(hub="some/model"))
    before = Keys(rubric, settings).of(one.example, one.completion)
    monkeypatch.setattr(
        "dsl.data.code_fingerprint._SOURCES", Sources(source=lambda name: f"{source_of(name)}\nX = 1")
    )
    fingerprint.cache_clear()
    assert Keys(rubric, settings).of(one.example, one.completion) == before
    fingerprint.cache_clear()


def test_a_version_of_a_judge_that_asks_a_model_is_part_of_its_keys(monkeypatch) -> None:
    one = answer("Paris.")
    settings = rubric.Settings(model=Weights(hub="some/model"))
    before = Keys(rubric, settings).of(one.example, one.completion)
    monkeypatch.setattr(rubric.Settings, "VERSION", 99)
    after = Keys(rubric, settings).of(one.example, one.completion)
    assert before.keys() == after.keys()
    assert all(after[aspect] != before[aspect] for aspect in before)


def test_no_answer_and_an_answer_of_the_same_words_have_different_keys() -> None:
    assert key(length, length.Settings(), answer(None)) != key(
        length, length.Settings(), answer("the server refused it")
    )


def test_verdicts_carry_the_item_and_the_key() -> None:
    one = answer("Paris.")
    keyed = Answer(one.example, one.completion, {"length": "a" * 64})
    found = keyed.scored("length", True, reason="why")
    assert (found.item, found.language, found.row_key, found.score, found.reason) == (
        "1",
        "en",
        "a" * 64,
        1.0,
        "why",
    )
    assert json.loads(keyed.unscored("length", "too dark").model_dump_json())["unscored_reason"] == "too dark"


def test_every_public_judge_has_the_one_shape() -> None:
    from dsl.judges.contract import JudgeSettings
    from dsl.plugins import names
    from runners.judges import find_judge

    found = names("dsl.judges")
    assert {"contains", "numeric", "exact", "language", "loop", "code", "empty", "length", "rubric"} <= set(
        found
    )
    for name in found:
        module = find_judge(name)
        assert issubclass(module.Settings, JudgeSettings)
        assert module.Settings.model_fields["judge"].default == name
        assert module.Settings.__doc__
        assert module.READS
        assert callable(module.judge)
        assert Path(module.__file__ or "").stem == name
