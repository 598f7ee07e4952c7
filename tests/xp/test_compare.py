"""`xp diff`: two applies of a study, and two studies, with every number counted by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.checks.load import document_of
from dsl.errors import ArgumentError
from dsl.plan.study import Study
from runners.store.store import Store
from tests.xp.small_study import write_study
from warehouse.compare import Answers, Mean
from xp import load
from xp.compare import changed_settings, compare
from xp.render.compared import compared_as_text


def rewrite(spec: Path, language: str, first_n: int) -> None:
    """Ask the first questions in other words, whose answers are right: the engine repeats its prompt."""
    path = spec.parent / f"{language}.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for row in rows[:first_n]:
        row["instruction"] = f"Sage {row['answers'][0]}!"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study applied, then with three other questions and one language more."""
    folder = tmp_path_factory.mktemp("compared")
    spec, store = write_study(folder / "study", languages=("en",), n_items=6), folder / "store"
    for row in [json.loads(spec.read_text("utf-8"))]:
        row["decoding"]["max_new_tokens"] = 5
        spec.write_text(json.dumps(row, indent=1), "utf-8")
    load(spec, store=store).apply(in_process=True, report=False)
    study = json.loads(spec.read_text("utf-8"))
    write_study(spec.parent, languages=("en", "fr"), n_items=6)
    study["languages"] = ["en", "fr"]
    study["caveats"] = ["the questions were changed"]
    spec.write_text(json.dumps(study, indent=1), "utf-8")
    rewrite(spec, "en", 3)
    load(spec, store=store).apply(in_process=True, report=False)
    return store


def test_two_applies_of_a_study_are_compared_by_settings_answers_and_means(store: Path) -> None:
    found = compare("small~1", "small", store)
    assert [(setting.path, setting.old, setting.new) for setting in found.settings] == [
        (("languages",), ["en"], ["en", "fr"]),
        (("caveats",), None, ["the questions were changed"]),
    ]
    assert (found.n_steps, found.n_only_old, found.n_only_new) == (0, 3, 6)
    place = {"dataset": "sums", "model": "echo", "method": "zero_shot", "train_languages": ""}
    counts = {"n_alike": 0, "n_unlike": 0, "n_other_prompts": 0, "n_only_old": 0, "n_only_new": 0}
    assert found.answers == (
        Answers(
            **place,
            language="en",
            **counts | {"n_alike": 3, "n_unlike": 3, "n_other_prompts": 3},
            items=["q0", "q1", "q2"],
        ),
        Answers(**place, language="fr", **counts | {"n_only_new": 6}, items=[]),
    )
    english, french = found.means
    assert (english.measure, english.old.n, english.new.n) == ("correct", 6, 6)
    assert english.new.value is not None
    assert english.old.value is not None
    assert english.difference.value == pytest.approx(english.new.value - english.old.value)
    assert english.difference.low is not None
    assert english.difference.low <= english.difference.value
    assert (french.old, french.difference) == (Mean(None, None, None, 0), Mean(None, None, None, 0))


def test_the_other_way_round_everything_is_turned_round(store: Path) -> None:
    there, back = compare("small~1", "small", store), compare("small", "small~1", store)
    assert (back.n_only_old, back.n_only_new) == (there.n_only_new, there.n_only_old)
    assert [(s.old, s.new) for s in back.settings] == [(s.new, s.old) for s in there.settings]
    assert back.means[0].difference.value == -(there.means[0].difference.value or 0)


def test_a_study_beside_itself_has_no_difference(store: Path) -> None:
    found = compare("small", f"{store}:small", store)
    assert (found.settings, found.n_only_old, found.n_only_new, found.means) == ((), 0, 0, ())
    assert all(row.n_alike == 6 and not row.items for row in found.answers)
    assert compare(str(store), str(store), Path("nowhere")).answers == found.answers


def test_the_text_names_places_values_and_intervals(store: Path) -> None:
    lines = compared_as_text(compare("small~1", "small", store)).splitlines()
    assert lines[0] == "small~1 → small"
    assert lines[1] == "Spec: 2 settings changed."
    assert lines[2].endswith('small.yaml:4:15: languages: `["en"]` → `["en", "fr"]`')
    assert "Steps: 0 the same, 3 only in small~1, 6 only in small." in lines
    assert (
        "Answers: 3 the same, 3 differ (3 of them to other prompts), 0 only in small~1, 6 only in small."
        in lines
    )
    assert "  zero_shot, echo, sums en: 3 of 6 differ: q0, q1, q2" in lines
    assert "  zero_shot, echo, sums fr: 6 only in small" in lines
    (mean,) = [line for line in lines if ", correct: " in line]
    assert mean.startswith("  zero_shot, echo, sums en, correct: ")
    assert mean.count(" (n 6)") == 3
    assert mean.count("[") == 3


def test_an_apply_that_changes_nothing_is_no_earlier_one_and_what_is_not_there_is_named(store: Path) -> None:
    for named, says in (
        ("small~2", r"knows no such apply of small. Earlier ones of another plan: small~1$"),
        ("smal", r"holds no study smal; it holds: small$"),
        (f"{store}:other", r"holds no study other; it holds: small$"),
    ):
        with pytest.raises(ArgumentError, match=says):
            compare(named, "small", store)


def test_a_note_that_is_known_late_makes_no_earlier_apply(store: Path, tmp_path: Path) -> None:
    held = Store(Path(shutil.copytree(store, tmp_path / "store")))
    applied = Study.model_validate_json((held.experiments / "small.json").read_bytes())
    noted = applied.model_copy(update={"notes": ("A caveat of its rows.",)})
    for study in (noted, applied, noted):
        held.record_study(study)
    assert [path.stem for path in held.earlier("small")] == ["small~1"]
    assert held.has_study(noted)
    held.record_study(applied.model_copy(update={"question": "Another?"}))
    assert [path.stem for path in held.earlier("small")] == ["small~2", "small~1"]


def test_steps_that_are_gone_are_said_to_be_missing_and_not_taken_for_a_difference_of_the_studies(
    store: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "store"
    shutil.copytree(store, copied)
    earlier = Study.model_validate_json((copied / "experiments/earlier/small~1.json").read_bytes())
    shutil.rmtree(copied / "steps" / earlier.cells[0].generate)
    found = compare("small~1", "small", copied)
    assert found.unfinished == (("small~1", 1),)
    assert "  1 step of small~1 without a result: what it would have given is missing below." in (
        compared_as_text(found).splitlines()
    )


VALUES = st.recursive(
    st.integers(0, 99) | st.text("ab") | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)
SPECS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, min_size=1)


@given(SPECS, SPECS)
def test_putting_every_change_into_the_old_spec_makes_the_new_one(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    before, after = (document_of(json.dumps(data), "study.yaml") for data in (old, new))
    made = json.loads(json.dumps(old))
    for setting in changed_settings(before, after):
        *above, key = setting.path
        holder = made
        for part in above:
            holder = holder[part]
        if setting.new is None:
            del holder[key]
        else:
            holder[key] = setting.new
    assert made == new
