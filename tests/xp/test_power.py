"""Statistical power of a plan's contrasts: from a stated assumption first, from measurements afterwards."""

import json
import re
from itertools import product
from math import sqrt
from pathlib import Path

import pytest

from dsl.plan.diff import Diff
from warehouse.connect import WAREHOUSE, connect
from warehouse.statistics.power import Variation, minimum_detectable_effect, smallest_p_value
from xp.api import Planned
from xp.apply import apply
from xp.plan.published import published
from xp.power import ASSUMED, Detectable, _n_tests, _Test, power_of
from xp.render.steps import steps_as_text
from xp.studies import diff_for

RIGHT = {
    "a": {"en": "11110000", "fr": "11110000"},
    "b": {"en": "11001100", "fr": "11110000"},
    "c": {"en": "10101010", "fr": "10101010"},
}
"""Recorded method -> language -> which of eight items it answers right: a and b differ in English by +1, −1,
or nothing, and not in French."""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    for language in ("en", "fr"):
        questions = [{"item": f"q{i}", "instruction": f"{i}?", "answers": [f"yes{i}"]} for i in range(8)]
        write(tmp_path / f"asked_{language}.jsonl", questions)
        for method, right in RIGHT.items():
            rows = [
                {"item": f"q{i}", "answer": f"yes{i}" if digit == "1" else "something else"}
                for i, digit in enumerate(right[language])
            ]
            write(tmp_path / f"{method}_{language}.jsonl", rows)
    study = {
        "experiment": "small",
        "languages": ["en", "fr"],
        "models": {"someone": {"parameters": 1000}},
        "data": {
            "asked": {
                "rows": {"path": "asked_{language}.jsonl"},
                "columns": {k: k for k in ("item", "instruction", "answers")},
            }
        },
        "evaluate": ["asked"],
        "methods": {
            method: {
                "method": "recorded",
                "answers": {"path": f"{method}_{{language}}.jsonl"},
                "columns": {"item": "item", "response": "answer"},
            }
            for method in RIGHT
        },
        "judges": {
            "empty": {"judge": "empty"},
            "correct": {"judge": "contains"},
            "length": {"judge": "length"},
        },
        "contrasts": {"gain": {"of": "a", "against": "b"}},
    }
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(study), "utf-8")
    return path


def write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def planned(spec: Path, store: Path, *overrides: str) -> tuple[Diff, tuple[Detectable, ...]]:
    found = diff_for(spec, list(overrides), None, store)
    return found, power_of(found, store)


def test_before_anything_is_measured_half_the_scale_is_assumed_and_said(spec: Path, tmp_path: Path) -> None:
    found, power = planned(spec, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    effect = minimum_detectable_effect(ASSUMED, 8)
    assert [(one.measure, one.language, one.n_items, one.source, one.effect) for one in power] == [
        ("correct", "en", 8, "assumed", effect),
        ("correct", "fr", 8, "assumed", effect),
        ("empty", "en", 8, "assumed", effect),
        ("empty", "fr", 8, "assumed", effect),
    ]
    assert {one.measure: one.effect_corrected for one in power} == {
        "correct": minimum_detectable_effect(ASSUMED, 8, n_tests=2),
        "empty": None,
    }
    assert {one.measure: one.is_confirmatory for one in power} == {"correct": True, "empty": False}
    text = steps_as_text(found, power)
    assert (
        "  Minimum detectable effect on 8 items (power 80%, paired test, two-sided 5%: confirmatory ones at"
        " Holm's first step over 2 tests, others uncorrected):\n    every measure  gain  en ~0.95  fr ~0.95\n"
        in text
    )
    assert (
        "scores that differ on a quarter of the items when the methods are equally good, from one end of the"
        " scale" in text
    )


def test_what_was_measured_takes_the_place_of_the_assumption_and_stands_in_where_nothing_differed(
    spec: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    apply(planned(spec, store)[0], store, in_process=True)
    found, power = planned(spec, store)
    # in English 0, 0, 1, 1, −1, −1, 0, 0 of eight items: variance 4 / 7; in French all are zero, so English
    # stands in
    by_place = {(one.measure, one.language): one for one in power}
    for language, source in (("en", "measured"), ("fr", "pooled")):
        one = by_place["correct", language]
        assert (one.source, one.n_items) == (source, 8)
        assert one.deviation == pytest.approx(sqrt(4 / 7))
        assert one.effect == pytest.approx(minimum_detectable_effect(Variation(sqrt(4 / 7), 1, 1, 1), 8))
    assert by_place["empty", "en"].source == "assumed"
    text = steps_as_text(found, power)
    assert re.search(r"^    correct +gain  en 0.95  fr ≈0.95$", text, re.MULTILINE)
    assert "≈ from how much other contrasts on this measure varied" in text


def test_a_new_contrast_and_another_study_take_the_spread_of_others_on_the_measure(
    spec: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    apply(planned(spec, store)[0], store, in_process=True)
    _, power = planned(spec, store, "contrasts.more={of: c, against: b}")
    assert {(one.contrast, one.language): one.source for one in power if one.measure == "correct"} == {
        ("gain", "en"): "measured",
        ("gain", "fr"): "pooled",
        ("more", "en"): "pooled",
        ("more", "fr"): "pooled",
    }
    _, other = planned(spec, store, "experiment=other")
    assert {one.source for one in other if one.measure == "correct"} == {"pooled"}


def test_fewer_items_are_counted_before_they_are_asked_and_too_few_detect_nothing(
    spec: Path, tmp_path: Path
) -> None:
    _, seven = planned(spec, tmp_path / "store", "data.asked.limit=7")
    assert {(one.n_items, one.effect) for one in seven} == {(7, minimum_detectable_effect(ASSUMED, 7))}
    found, four = planned(spec, tmp_path / "store", "data.asked.limit=4")
    assert {(one.n_items, one.effect) for one in four} == {(4, None)}
    assert "every measure  gain  en none  fr none" in steps_as_text(found, four)


def test_no_effect_is_listed_that_no_data_could_make_significant(spec: Path, tmp_path: Path) -> None:
    several = ("contrasts.more={of: c, against: b, on: [correct, empty]}", "baseline=c")
    for n, more in product(range(1, 9), ((), several)):
        found, power = planned(spec, tmp_path / "store", f"data.asked.limit={n}", *more)
        # exploratory contrasts share b or c: Benjamini–Yekutieli's sum over 6 tests of `a_vs_c` on three
        # judges and 4 of the declared ones
        for one in power:
            shared = sum(1 / i for i in range(1, one.n_tests + 1)) if more else 1
            smallest = smallest_p_value(n) * (one.n_tests if one.is_confirmatory else shared)
            assert one.could_be_significant == (smallest < 0.05)
            listed = [effect for effect in (one.effect, one.effect_corrected) if effect is not None]
            assert bool(listed) == one.could_be_significant
            assert all(effect <= 1 for effect in listed)
        hopeless = sum(one.is_confirmatory and not one.could_be_significant for one in power)
        said = (
            f"With {n} items, {hopeless} of the confirmatory comparisons cannot be significant after"
            " correction, whatever the answers\n"
        )
        assert (said in steps_as_text(found, power)) == bool(hopeless)


def test_a_contrast_is_confirmatory_on_its_judges_and_these_come_first(spec: Path, tmp_path: Path) -> None:
    found, power = planned(spec, tmp_path / "store", "contrasts.gain.on=[empty]")
    assert [(one.measure, one.is_confirmatory) for one in power if one.language == "en"] == [
        ("empty", True),
        ("correct", False),
    ]
    text = steps_as_text(found, power)
    assert "  Confirmatory: gain on empty\n  Exploratory: declared contrasts on other measures\n" in text


def test_a_contrast_is_confirmatory_on_its_aspect_before_anything_is_measured(
    spec: Path, tmp_path: Path
) -> None:
    rubric = (
        "judges.r={judge: rubric, aspects: [depth, clarity], model: {engine: openai, name: m, base_url:"
        ' "http://localhost:1/v1"}}'
    )
    _, power = planned(spec, tmp_path / "store", rubric, "contrasts.gain.on=[r.depth]")
    found = [
        (one.measure, one.is_confirmatory, one.effect_corrected) for one in power if one.language == "en"
    ]
    # one of two languages
    assert found[0] == ("r.depth", True, minimum_detectable_effect(ASSUMED, 8, n_tests=2))
    assert {row[1:] for row in found[1:]} == {(False, None)}


def test_tests_of_all_declared_contrasts_and_their_measures_are_one_family(
    spec: Path, tmp_path: Path
) -> None:
    more = ("contrasts.more={of: c, against: b, on: [correct, empty]}", "baseline=c")
    found, power = planned(spec, tmp_path / "store", *more)
    # two languages: gain on correct, more on correct and on empty
    corrected = {minimum_detectable_effect(ASSUMED, 8, n_tests=6)}
    assert {one.effect_corrected for one in power if one.is_confirmatory} == corrected
    assert {one.contrast for one in power} == {"gain", "more", "a_vs_c"}
    assert {one.effect_corrected for one in power if one.contrast == "a_vs_c"} == {None}
    assert "  Exploratory: a against c; declared contrasts on other measures\n" in steps_as_text(found, power)


def test_items_on_the_hub_are_not_counted_and_examples_are_given_instead(spec: Path, tmp_path: Path) -> None:
    study = json.loads(spec.read_text("utf-8"))
    hub = {"hub": "someone/questions", "name": "{language}", "split": "test", "revision": "0" * 40}
    study["data"]["asked"]["rows"] = hub
    spec.write_text(json.dumps(study), "utf-8")
    found, power = planned(spec, tmp_path / "store")
    assert {(one.n_items, one.effect) for one in power} == {(None, None)}
    assert (
        "the items are not counted yet; with 100, 300, 1000 of them ~0.16, ~0.092, ~0.05 of the scale"
        in steps_as_text(found, power)
    )


def test_a_warehouse_that_cannot_be_read_is_no_reason_not_to_plan(spec: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "warehouse.duckdb").write_text("no warehouse")
    assert {one.source for one in planned(spec, store)[1]} == {"assumed"}


def test_a_long_list_is_cut_and_the_json_has_all_of_it(spec: Path, tmp_path: Path) -> None:
    places = [
        Detectable(
            f"contrast{i}",
            "asked",
            "en",
            f"measure{j}",
            8,
            None,
            0.5,
            "measured",
            25,
            True,
            0.5,
            (i + 1) / (j + 1),
        )
        for i in range(5)
        for j in range(5)
    ]
    found, _ = planned(spec, tmp_path / "store")
    text = steps_as_text(found, places)
    assert len(re.findall(r"contrast\d", text)) == 12
    assert "… and 13 more lines: `xp plan --json` lists all" in text
    plan = Planned(found, tmp_path / "store")
    assert len(published(plan.overview, places, plan.estimates, plan.budget).power) == 25


def test_a_study_without_contrasts_says_nothing_of_power(spec: Path, tmp_path: Path) -> None:
    found, power = planned(spec, tmp_path / "store", "contrasts=null")
    assert power == ()
    assert "detected" not in steps_as_text(found, power)


def test_a_plan_that_compares_nothing_says_which_line_to_add_and_that_line_works(
    spec: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    said = (
        "Nothing will be compared. Add `baseline: a` (exploratory) or `contrasts: {gain: {of: b, against:"
        " a}}` (confirmatory)."
    )
    found, _ = planned(spec, store, "contrasts=null")
    assert f"  {said}\n" in steps_as_text(found)
    assert Planned(found, store).published.nothing_compared == said
    for added in ("baseline=a", "contrasts={gain: {of: b, against: a}}"):
        found, power = planned(spec, store, "contrasts=null", added)
        assert power
        assert "Nothing will be compared" not in steps_as_text(found, power)
    alone, _ = planned(spec, store, "contrasts=null", "only=[{method: a}]")
    assert (
        "  Nothing will be compared: no two methods answer one data set in one language on one model.\n"
        in steps_as_text(alone)
    )


def test_items_that_a_judge_passes_over_are_not_counted(spec: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (tmp_path / "asked_en.jsonl").read_text("utf-8").splitlines()]
    write(
        tmp_path / "asked_en.jsonl", [row | ({"answers": []} if row["item"] == "q0" else {}) for row in rows]
    )
    everywhere = ("judges.empty.limit=6", "judges.both={judge: ensemble, of: [empty, correct]}")
    expected = {
        ("correct", "en"): 7,
        ("correct", "fr"): 8,
        ("empty", "en"): 6,
        ("empty", "fr"): 6,
        ("both", "en"): 5,
        ("both", "fr"): 6,
    }
    found, power = planned(spec, tmp_path / "store", *everywhere)
    assert {(one.measure, one.language): one.n_items for one in power} == expected
    assert {(one.measure, one.language): one.effect for one in power}[
        "empty", "en"
    ] == minimum_detectable_effect(ASSUMED, 6)
    apply(found, tmp_path / "store", in_process=True)
    _, measured = planned(spec, tmp_path / "store", *everywhere)
    assert {
        (one.measure, one.language): one.n_items for one in measured if one.measure != "length"
    } == expected
    with connect(tmp_path / "store" / WAREHOUSE, read_only=True) as connection:
        rows = connection.execute(
            "select measure, language, n from contrast_by_language_and_size where measure <> 'length'"
        ).fetchall()
    assert {(measure, language): n for measure, language, n in rows} == expected


def test_items_that_an_aspect_is_not_asked_of_are_not_counted(spec: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (tmp_path / "asked_en.jsonl").read_text("utf-8").splitlines()]
    for language in ("en", "fr"):
        write(
            tmp_path / f"asked_{language}.jsonl",
            [row | {"kind": "safety" if row["item"] > "q2" else "general"} for row in rows],
        )
    rubric = (
        "judges={quality: {judge: rubric, aspects: [depth], when: {depth: {category: [general]}}, model:"
        " {engine: openai, name: m, base_url: 'http://localhost:1/v1'}}}"
    )
    _, power = planned(spec, tmp_path / "store", "data.asked.columns.category=kind", rubric)
    assert {one.n_items for one in power if one.measure == "quality"} == {3}
    _, power = planned(spec, tmp_path / "store", rubric.replace("category", "split"))
    assert {one.n_items for one in power if one.measure == "quality"} == {None}


def test_every_model_is_a_test_of_its_own_in_the_corrected_effect(spec: Path, tmp_path: Path) -> None:
    _, power = planned(spec, tmp_path / "store", "models.other={parameters: 2000}")
    assert {one.effect_corrected for one in power if one.is_confirmatory} == {
        minimum_detectable_effect(ASSUMED, 8, n_tests=4)
    }


def test_what_another_judge_of_the_same_name_measured_is_not_taken(spec: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    apply(planned(spec, store)[0], store, in_process=True)
    for changed in (("judges.correct.judge=exact",), ("judges.correct.judge=exact", "experiment=other")):
        _, power = planned(spec, store, *changed)
        assert {one.source for one in power if one.measure == "correct"} == {"assumed"}
    _, power = planned(spec, store, "judges.correct.limit=7", "experiment=other")
    assert {one.source for one in power if one.measure == "correct"} == {"pooled"}


def test_a_judge_that_compares_with_one_side_says_nothing_of_a_contrast_with_it(
    spec: Path, tmp_path: Path
) -> None:
    duel = (
        "judges={duel: {judge: pairwise, against: b, model: {engine: openai, name: m, base_url:"
        " 'http://localhost:1/v1'}}}"
    )
    _, power = planned(spec, tmp_path / "store", duel, "contrasts.other={of: a, against: c}")
    assert {one.contrast for one in power if one.measure == "duel"} == {"other"}


def test_a_plan_warns_below_five_seeds_where_a_contrast_touches_trained_methods(
    spec: Path, tmp_path: Path
) -> None:
    for language in ("en", "fr"):
        write(tmp_path / f"rows_{language}.jsonl", [{"question": f"one {language}?", "answer": "yes"}])
    rows = "{rows: {path: 'rows_{language}.jsonl'}, columns: {instruction: question, response: answer}}"
    trained = (
        "models.someone={parameters: 1000, base: {hub: someone/model}}",
        f"data.rows={rows}",
        "methods.tuned={method: sft, train: rows}",
        "contrasts.gain={of: tuned, against: b}",
    )
    few = "  Few training seeds for tuned: "
    for seeds, said in (
        (
            [0],
            (
                "results are for this one trained model. For results about the method, set `seeds: [0, 1, 2,"
                " 3, 4]` in the spec.\n"
            ),
        ),
        (
            [7, 2, 1],
            (
                "3 training runs hardly show how much such runs differ. For results about the method, set"
                " `seeds: [1, 2, 7, 0, 3]` in the spec.\n"
            ),
        ),
    ):
        found, power = planned(spec, tmp_path / "store", *trained, f"seeds={seeds}")
        assert few + said in steps_as_text(found, power)
        assert Planned(found, tmp_path / "store").published.few_training_seeds == (few + said).strip()
        assert {one.n_seeds for one in power} == {len(seeds)}
        assert (
            "lower bounds: the variance between training runs was not measured yet"
            in steps_as_text(found, power)
        ) == (len(seeds) > 1)
    five, power = planned(spec, tmp_path / "store", *trained, "seeds=[0, 1, 2, 3, 4]")
    assert few not in steps_as_text(five, power)
    untouched, power = planned(spec, tmp_path / "store", *trained[:3], "contrasts.gain={of: a, against: b}")
    assert few not in steps_as_text(untouched, power)
    assert {one.n_seeds for one in power} == {None}


def test_declared_interactions_count_as_tests_but_no_effect_is_given_for_them(
    spec: Path, tmp_path: Path
) -> None:
    study = json.loads(spec.read_text("utf-8"))
    study["contrasts"] |= {
        f"by_{'_'.join(by)}": {"of": "a", "against": "b", "by": by}
        for by in (["size"], ["language"], ["size", "language"])
    }
    spec.write_text(json.dumps(study), "utf-8")
    found, power = planned(spec, tmp_path / "store")
    assert {one.contrast for one in power} == {"gain"}
    # the difference in two languages, a trend in each, a gap between them and its trend
    assert {one.effect_corrected for one in power if one.is_confirmatory} == {
        minimum_detectable_effect(ASSUMED, 8, n_tests=6)
    }
    assert "by_size by size" in steps_as_text(found, power)


@pytest.mark.parametrize(
    ("tuned", "by", "n"),
    [
        ({"en": ("en",), "fr": ("en",), "es": ("en",)}, {"language"}, 3),
        ({"en": ("en",), "fr": ("fr",), "es": ("es",)}, {"language"}, 3),
        ({"en": ("en",), "fr": ("fr",), "es": ("en",)}, {"language"}, 2),
        ({"en": (), "fr": ()}, {"language"}, 1),
        ({"en": (), "fr": ()}, {"size"}, 2),
        ({"en": (), "fr": ()}, (), 4),
    ],
)
def test_tests_of_gaps_are_between_methods_tuned_alike_or_each_on_its_own_language(
    tuned: dict[str, tuple[str, ...]], by: set[str], n: int
) -> None:
    models = ("small", "large") if by != {"language"} else ("small",)
    tests = [
        _Test("correct", "asked", language, model, of, ())
        for language, of in tuned.items()
        for model in models
    ]
    assert _n_tests(tests, by) == n


def test_models_are_compared_like_methods_with_the_power_of_their_items(spec: Path, tmp_path: Path) -> None:
    other = ["models.other={}", "models.someone={}"]
    for method in RIGHT:
        other.append(f'methods.{method}.answers.path="{{model}}_{method}_{{language}}.jsonl"')
        for model, language in product(("someone", "other"), ("en", "fr")):
            rows = (tmp_path / f"{method}_{language}.jsonl").read_text("utf-8")
            (tmp_path / f"{model}_{method}_{language}.jsonl").write_text(rows, "utf-8")
    alone = "contrasts.gain=null"
    between = "contrasts={gap: {of: {model: other, method: a}, against: {model: someone}, on: [correct]}}"
    diff, power = planned(spec, tmp_path / "store", *other, between, alone)
    (_, methods) = planned(
        spec, tmp_path / "store", "contrasts={gap: {of: a, against: b, on: [correct]}}", alone
    )
    assert [(one.language, one.n_items, one.n_tests, one.effect) for one in power if one.is_confirmatory] == [
        (one.language, one.n_items, one.n_tests, one.effect) for one in methods if one.is_confirmatory
    ]
    assert "Confirmatory: gap on correct" in steps_as_text(diff, power)
