"""Items, training seeds and judge repeats that would detect an effect."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dsl.steps.stopping import StopWhen
from warehouse.connect import connect
from warehouse.statistics.power import POWER, Variation, power
from warehouse.statistics.repeat_noise import RepeatNoise, repeat_noise
from xp.api import Planned, Study
from xp.cli import app
from xp.estimates.estimating import estimates_of
from xp.needed import needed, smallest
from xp.render.needed import needed_as_json, needed_as_text

MEASURED = Variation(deviation=0.5, size=0.5, smallest=0.01)


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    rows = [{"id": f"q{i}", "ask": "Why?", "say": "So."} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    study = {
        "experiment": "small",
        "languages": ["en"],
        "seeds": [0, 1],
        "models": {"m": {"base": {"package": "tiny-135m", "version": "1"}}},
        "data": {
            "asked": {
                "rows": {"path": "rows.jsonl"},
                "columns": {"item": "id", "instruction": "ask", "response": "say"},
                "allow_overlap": True,
            }
        },
        "evaluate": ["asked"],
        "methods": {
            "zero": {"method": "icl", "num_fewshot": 0},
            "tuned": {"method": "sft", "train": "asked", "training": {"max_steps": 6}},
        },
        "judges": {
            "quality": {
                "judge": "rubric",
                "aspects": ["depth"],
                "repeats": 2,
                "model": {"engine": "openai", "name": "gpt-4o-mini"},
            }
        },
        "contrasts": {"gain": {"of": "tuned", "against": "zero", "on": ["quality"]}},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study), "utf-8")
    return Study(tmp_path / "study.yaml", tmp_path / "store").plan()


@given(st.integers(1, 500), st.integers(1, 600))
def test_smallest_is_the_least_number_that_is_enough(wanted: int, most: int) -> None:
    found = smallest(lambda n: n >= wanted, most)
    assert found == (wanted if wanted <= most else None)


def test_so_many_items_detect_the_effect_and_one_less_does_not(planned: Planned) -> None:
    (one,) = planned.needed(0.3)
    assert one.is_assumed
    assert one.items is not None
    variation, n_tests = planned.power[0].variation, planned.power[0].n_tests
    assert variation is not None
    assert power(variation, 0.3, one.items.n, n_tests, 2) >= POWER
    assert power(variation, 0.3, one.items.n - 1, n_tests, 2) < POWER
    assert one.items.n_now == 20
    assert (one.seeds, one.repeats) == (None, None)  # of which nothing was measured


def test_more_items_cost_their_share_of_answers_and_verdicts_and_no_training(planned: Planned) -> None:
    (one,) = planned.needed(0.3)
    assert one.items is not None
    steps = planned.diff.plan.steps
    asked = [s for s in steps if s.startswith(("generate-", "judge-"))]
    now = estimates_of(planned.overview.asked, {}, asked).total()
    share = (one.items.n - 20) / 20
    assert one.items.more.n_new_tokens == pytest.approx(share * now.n_new_tokens, abs=1)
    assert one.items.more.usd == pytest.approx(share * now.usd)
    assert one.items.more.n_train_steps == 0


def test_what_is_enough_already_costs_nothing(planned: Planned) -> None:
    (detectable,) = planned.power
    easy = replace(detectable, variation=replace(MEASURED, deviation=0.01, size=0.01), source="measured")
    (one,) = needed(planned.diff, 0.5, [easy], lambda judge: None, planned.estimates)
    assert one.items is not None
    assert one.items.n < one.items.n_now
    assert (one.items.more.seconds, one.items.more.usd, one.items.more.n_requests) == (0, 0, 0)
    assert "20 items: enough" in needed_as_text([one], 0.5, planned.diff.plan.study)


def test_seeds_are_asked_for_where_runs_vary_and_they_cost_training_too(planned: Planned) -> None:
    (detectable,) = planned.power
    varied = replace(
        detectable,
        variation=replace(MEASURED, deviation=0.1, size=0.1, over_runs=0.04),
        source="measured",
        n_tests=1,
    )
    (one,) = needed(planned.diff, 0.3, [varied], lambda judge: None, planned.estimates)
    assert one.items is None  # two runs differ too much for any number of items
    assert one.seeds is not None
    assert one.seeds.n_now == 2 < one.seeds.n
    assert one.seeds.more.n_train_steps == 6 * (one.seeds.n - 2)
    assert "no number of items" in needed_as_text([one], 0.3, planned.diff.plan.study)


def test_repeats_take_away_the_judges_own_variance_and_no_more(planned: Planned) -> None:
    (detectable,) = planned.power
    one_test = replace(detectable, variation=MEASURED, source="measured", n_tests=1, n_seeds=None)

    def repeats(effect: float, noise: RepeatNoise | None) -> int | None:
        (one,) = needed(planned.diff, effect, [one_test], lambda judge: noise, planned.estimates)
        return None if one.repeats is None else one.repeats.n

    assert repeats(0.3, None) is None
    # all of the variance, 0.25, is the judge's: 2 × 0.25 / 2
    all_of_it, part = RepeatNoise(0.25, 2), RepeatNoise(0.1, 2)
    wanted = repeats(0.2, all_of_it)
    assert wanted is not None
    assert wanted > 2
    left = replace(MEASURED, deviation=(0.5 / wanted) ** 0.5)
    assert power(left, 0.2, 20) >= POWER
    assert repeats(0.2, part) is None


def test_a_judges_noise_is_the_mean_variance_of_its_repeats(tmp_path: Path) -> None:
    with connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(
            """
            insert into cells by name
            select 'c' as cell_id, 's' as experiment, 'd' as dataset, 'en' as language, 'm' as model,
                'a' as method, 'icl' as method_kind, '' as train_languages, false as is_replicate,
                'generate-1' as generate_step_id;
            insert into cell_judges
            values ('c', 'quality', '', 'judge-1', 'key'), ('c', 'once', '', 'judge-2', 'k');
            insert into steps by name
            select unnest(['judge-1', 'judge-2']) as step_id, 'judge' as kind,
                unnest(['{"judges": {"key": {"repeats": 2}}}', '{"judges": {"k": {"repeats": 1}}}'])::json
                    as settings,
                1 as seconds, 0 as start_seconds, 0 as load_seconds, 2 as n_rows, 0 as n_reused,
                '{}'::json as versions, '{}'::json as facts, '' as code, '' as outcome_sha256;
            insert into step_verdicts by name
            select unnest(['judge-1', 'judge-1', 'judge-2']) as step_id,
                unnest(['key', 'key', 'k']) as judge_key,
                unnest(['q1', 'q2', 'q1']) as item, 'en' as language, 'depth' as aspect,
                unnest(['{"1": 3.0, "2": 5.0}', '{"1": 4.0, "2": 4.0}', '{"1": 1.0}'])::json as parts;
            """
        )
        assert repeat_noise(connection) == {("s", "quality"): RepeatNoise(1.0, 2)}


def test_the_command_prints_a_line_for_each_language_or_json(planned: Planned) -> None:
    spec = planned.diff.plan.study.spec_file
    arguments = ["plan", spec, "--power", "0.3", "--store", str(planned.store)]
    text, told = (CliRunner().invoke(app, [*arguments, *more]).stdout for more in ([], ["--json"]))
    (one,) = planned.needed(0.3)
    assert one.items is not None
    assert "gain on quality (asked)" in text
    assert f"~en  {one.items.n} items (20 now;" in text
    assert json.loads(told)[0]["items"]["n"] == one.items.n


def test_a_contrast_for_which_nothing_is_enough_says_why(planned: Planned) -> None:
    study = planned.diff.plan.study

    def said(**changes: object) -> str:
        contrasts = tuple(one.model_copy(update=changes) for one in study.contrasts)
        return needed_as_text([], 0.1, study.model_copy(update={"contrasts": contrasts}))

    assert "Declare `contrasts`" in said(on=())
    assert said(stop_when=StopWhen(contrast="gain", excludes=0)) == (
        "gain: `stop_when` decides how many items are asked."
    )
    assert "scatters over language" in said(by=("language",))
    assert "nothing was measured yet on quality" in said()
    assert json.loads(needed_as_json(planned.needed(0.3)))[0]["contrast"] == "gain"
