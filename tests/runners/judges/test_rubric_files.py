"""Rubrics: those that ship with xp in every language, and a study's own."""

from pathlib import Path

import pytest
import yaml

from dsl.data.fingerprints import Fingerprints
from dsl.data.paths import CellNames
from dsl.errors import DataError
from dsl.judges._judge_prompts import judge_prompts, languages
from dsl.judges._rubric import SHIPPED, load_rubric, shipped
from dsl.judges.rubric import Settings
from dsl.steps.identity import digest

OWN = """
aspects:
  wit:
    question: Is it witty?
    levels: [dull, flat, fair, funny, brilliant]
  brevity:
    question: Is it short?
    levels: [endless, long, fair, short, crisp]
"""
GENERAL = ("helpfulness", "clarity", "factuality", "depth", "engagement")


def settings(**given: object) -> Settings:
    return Settings.model_validate(
        {"model": {"engine": "openai", "name": "judge", "base_url": "http://localhost:1/v1"}, **given}
    )


def test_every_shipped_rubric_says_the_same_in_every_language_that_judges_are_instructed_in() -> None:
    assert "just_eval" in shipped()
    assert languages() == ("en", "es", "fr")
    for name in shipped():
        texts: list[str] = []
        english = load_rubric(SHIPPED / name / "en.yaml")
        for language in languages():
            found = load_rubric(SHIPPED / name / f"{language}.yaml")
            assert found.when == english.when
            assert {a: len(v.levels) for a, v in found.aspects.items()} == {
                a: len(v.levels) for a, v in english.aspects.items()
            }
            texts += [text for aspect in found.aspects.values() for text in (aspect.question, *aspect.levels)]
        assert len(set(texts)) == len(texts)


def test_just_eval_has_its_six_aspects() -> None:
    assert tuple(load_rubric(SHIPPED / "just_eval" / "en.yaml").aspects) == (*GENERAL, "safety")


def test_every_language_has_instructions_of_its_own() -> None:
    texts = [judge_prompts(language) for language in languages()]
    assert [text.language for text in texts] == list(languages())
    assert len({text.system for text in texts}) == len(texts)
    for text in texts:
        assert {"{lowest}", "{highest}"} <= {part for part in ("{lowest}", "{highest}") if part in text.score}
        assert "N/A" in text.score


def test_a_studys_own_rubric_is_known_by_its_content(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(OWN)
    here, there = (
        settings(rubric={"file": "mine.yaml"}).pinned(("en",), Fingerprints(), tmp_path / folder)
        for folder in "ab"
    )
    assert here != there
    assert digest(here) == digest(there)
    assert list(here.chosen()) == ["wit", "brevity"]
    assert here.rubric.levels == {"wit": 5, "brevity": 5}  # type: ignore[union-attr]
    (tmp_path / "b" / "mine.yaml").write_text(OWN.replace("crisp", "terse"))
    assert digest(
        settings(rubric={"file": "mine.yaml"}).pinned(("en",), Fingerprints(), tmp_path / "b")
    ) != digest(here)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aspects: {}",
        "aspects: {wit: {question: a, levels: [a]}}",
        "- a",
        "a: [",
        OWN + "default: [speed]",
        "\x00",
    ],
)
def test_a_file_that_is_no_rubric_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(DataError, match=r"bad\.yaml"):
        settings(rubric={"file": "bad.yaml"}).pinned(("en",), Fingerprints(), tmp_path)


def test_an_aspect_the_file_lacks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    with pytest.raises(DataError, match=r"no speed. It has wit, brevity"):
        settings(rubric={"file": "mine.yaml"}, aspects=["speed"]).pinned(("en",), Fingerprints(), tmp_path)
    with pytest.raises(DataError, match=r"none\.yaml"):
        settings(rubric={"file": "none.yaml"}).pinned(("en",), Fingerprints(), tmp_path)


def test_an_error_in_a_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "aspects:\n  wit:\n    question: Is it witty?\n    levls: [a, b]\nwhn: {}\n"
    )
    with pytest.raises(DataError) as told:
        settings(rubric={"file": "bad.yaml"}).pinned(("en",), Fingerprints(), tmp_path)
    message = str(told.value)
    assert "bad.yaml:4:5: aspects.wit.levls" in message
    assert "Did you mean `levels`?" in message
    assert "bad.yaml:5:1: whn" in message
    assert "pydantic" not in message
    assert "http" not in message


def test_comments_of_a_rubric_are_no_part_of_it_and_its_order_is(tmp_path: Path) -> None:
    def pinned(text: str) -> Settings:
        (tmp_path / "mine.yaml").write_text(text)
        return settings(rubric={"file": "mine.yaml"}).pinned(("en",), Fingerprints(), tmp_path)

    (name, aspect), *others = yaml.safe_load(OWN)["aspects"].items()
    assert pinned(f"# mine\n{OWN}\n") == pinned(OWN)
    turned = {"aspects": dict([*others, (f"{name}_too", aspect), (name, aspect)])}
    same = {"aspects": dict([*others, (name, aspect), (f"{name}_too", aspect)])}
    assert pinned(yaml.safe_dump(turned, sort_keys=False)) != pinned(yaml.safe_dump(same, sort_keys=False))


def test_a_step_of_an_earlier_version_names_the_bytes_of_its_rubric(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    assert load_rubric(tmp_path / "mine.yaml", Fingerprints().file(tmp_path / "mine.yaml")).aspects


def test_a_file_that_changed_since_the_plan_judges_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    pinned = settings(rubric={"file": "mine.yaml"}).pinned(("en",), Fingerprints(), tmp_path)
    (tmp_path / "mine.yaml").write_text(OWN.replace("crisp", "terse"))
    load_rubric.cache_clear()  # as in another process
    with pytest.raises(DataError, match="has changed since the study was planned"):
        pinned.chosen()


def test_a_rubric_of_ones_own_in_the_items_language_is_a_file_for_each(tmp_path: Path) -> None:
    (tmp_path / "mine_en.yaml").write_text(OWN)
    with pytest.raises(DataError, match=r"write \{language\} in mine_en.yaml"):
        settings(rubric={"file": "mine_en.yaml"}, instructions_language="item").pinned(
            ("en",), Fingerprints(), tmp_path
        )
    given = settings(rubric={"file": "mine_{language}.yaml"}, instructions_language="item")
    with pytest.raises(DataError, match=r"mine_fr\.yaml: No such file"):
        given.pinned(("en", "fr"), Fingerprints(), tmp_path)
    (tmp_path / "mine_fr.yaml").write_text(OWN.replace("Is it witty?", "Est-ce spirituel ?"))
    pinned = given.pinned(("en", "fr"), Fingerprints(), tmp_path)
    here, there = (
        pinned.of_cell(CellNames("d", language, "m", "urial"), Fingerprints(), tmp_path)
        for language in ("en", "fr")
    )
    assert here.chosen()["wit"].question == "Is it witty?"
    assert there.chosen()["wit"].question == "Est-ce spirituel ?"
    assert digest(here) != digest(there)


def test_a_scale_of_ones_own_may_be_shorter_and_not_applicable_counts_as_a_level_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.yaml").write_text(
        'aspects: {wit: {question: "Is it witty?", levels: [dull, fair, funny]}}'
    )
    pinned = settings(rubric={"file": "mine.yaml"}, na_as=3).pinned(("en",), Fingerprints(), tmp_path)
    assert len(pinned.chosen()["wit"].levels) == 3
    with pytest.raises(DataError, match="`na_as: 5` is off the scale, which ends at 3"):
        settings(rubric={"file": "mine.yaml"}, na_as=5).pinned(("en",), Fingerprints(), tmp_path)
