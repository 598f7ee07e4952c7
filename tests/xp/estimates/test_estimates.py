"""Estimates of a plan, on studies whose work can be counted by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dsl.engines.openai import Settings as Served
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings as Vllm
from warehouse.rates import StepCost
from xp.api import Planned, Study
from xp.estimates.counting import BYTES_PER_TOKEN, REPLY_SHARE, WorkCounter
from xp.estimates.estimating import Estimate, Estimates, added, estimates_of
from xp.estimates.machine import Machine, Speed
from xp.estimates.memory import needed_bytes
from xp.estimates.model_sizes import model_size
from xp.estimates.rates import Rates, rates_from
from xp.estimates.work import Work
from xp.render.estimates import estimate_sentences

HERE = Machine("2 CPU cores", "cpu", 10**10, lambda: Speed(1e11, 1e10))
WEIGHTS = Weights(package="tiny-135m", version="1")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    rows = [{"id": f"q{i}", "ask": "x" * 35, "say": "y" * 70, "answers": ["z"]} for i in range(10)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    study = {
        "experiment": "small",
        "languages": ["en"],
        "models": {"tiny": {"base": {"package": "tiny-135m", "version": "1"}}},
        "data": {
            "asked": {
                "rows": {"path": "rows.jsonl"},
                "columns": {"item": "id", "instruction": "ask", "response": "say", "answers": "answers"},
                "allow_overlap": True,
            }
        },
        "evaluate": ["asked"],
        "methods": {
            "zero": {"method": "icl", "num_fewshot": 0},
            "tuned": {
                "method": "sft",
                "train": "asked",
                "training": {"num_train_epochs": 3, "per_device_train_batch_size": 4, "max_length": 512},
            },
        },
        "decoding": {"max_new_tokens": 100},
        "judges": {
            "exact": {"judge": "exact"},
            "quality": {
                "judge": "rubric",
                "aspects": ["clarity", "depth"],
                "repeats": 2,
                "limit": 5,
                "model": {"engine": "openai", "name": "gpt-4o-mini"},
            },
        },
    }
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(study), "utf-8")
    return path


def planned(spec: Path, *overrides: str) -> Planned:
    return Study(spec, spec.parent / "store", overrides).plan()


def work_of(found: Planned) -> dict[str, Work]:
    """Kind, and judge or method -> work; the first of each."""
    counter = WorkCounter(found.overview.asked)
    works: dict[str, Work] = {}
    for step_id, step in found.diff.plan.steps.items():
        work = counter.work(step_id)
        assert work is not None
        works.setdefault(step.kind + ("+" if isinstance(work.model, Served) else ""), work)
    return works


def test_requests_tokens_and_training_steps_are_those_that_one_counts_by_hand(spec: Path) -> None:
    works = work_of(planned(spec))
    assert (works["generate"].n_rows, works["generate"].n_requests) == (10, 10)
    assert works["generate"].new_tokens == pytest.approx(10 * REPLY_SHARE * 100)
    # ten rows in batches of four, three times
    assert works["sft"].train_steps == 3 * 3
    # two aspects, each asked twice of the first five answers
    assert (works["judge+"].n_rows, works["judge+"].n_requests) == (10, 20)
    assert (works["judge"].n_rows, works["judge"].n_requests) == (10, 0)


def test_prompts_that_share_a_beginning_compute_it_once(spec: Path) -> None:
    shown = "methods={zero: {method: icl, num_fewshot: 3}}"
    few, zero = work_of(planned(spec, shown))["generate"], work_of(planned(spec))["generate"]
    assert few.prompt_tokens > 3 * zero.prompt_tokens
    assert few.computed_tokens < few.prompt_tokens
    assert few.shared_tokens == pytest.approx(0.9 * few.prompt_tokens, rel=0.15)


def test_a_judge_that_repeats_its_question_writes_as_much_each_time(spec: Path) -> None:
    once = work_of(planned(spec, "judges.quality.repeats=1"))["judge+"]
    twice = work_of(planned(spec))["judge+"]
    assert (2 * once.n_requests, 2 * once.new_tokens) == (twice.n_requests, twice.new_tokens)
    assert twice.prompt_tokens == pytest.approx(2 * once.prompt_tokens)


def test_together_asks_for_all_aspects_at_once_and_so_says_the_plan(spec: Path) -> None:
    apart, together = planned(spec), planned(spec, "judges.quality.together=true")
    assert apart.estimates.total().n_requests - together.estimates.total().n_requests == 2 * 10
    assert together.estimates.total().usd < apart.estimates.total().usd


def test_money_is_that_of_served_models_by_the_price_of_the_spec_or_the_list(spec: Path) -> None:
    total = planned(spec).estimates.total()
    assert total.usd > 0
    assert total.n_unpriced == 0
    stated = planned(
        spec,
        "judges.quality.model.usd_per_million_prompt_tokens=0",
        "judges.quality.model.usd_per_million_new_tokens=1000000",
    ).estimates.total()
    judged = work_of(planned(spec))["judge+"]
    assert stated.usd == pytest.approx(2 * judged.new_tokens)
    unknown = planned(spec, "judges.quality.model.name=own").estimates.total()
    assert (unknown.usd, unknown.n_unpriced) == (0, 2)


def test_totals_are_the_sums_of_the_steps_and_memory_is_that_of_the_largest(spec: Path) -> None:
    found = planned(spec).estimates
    total = found.total()
    assert total.n_requests == sum(one.n_requests for one in found.steps.values())
    assert total.seconds == pytest.approx(sum(one.seconds for one in found.steps.values()))
    assert total.peak_memory_bytes == max(one.peak_memory_bytes for one in found.steps.values())
    assert total.n_steps == len(found.steps)
    assert added([]) == Estimate(0)


def test_what_is_not_to_run_costs_nothing(spec: Path) -> None:
    found = planned(spec)
    (step_id,) = [s for s in found.diff.plan.steps if s.startswith("sft-")]
    assert found.estimates.total([]) == Estimate(0)
    assert found.estimates.total([step_id]).n_train_steps == 9
    assert estimates_of(found.overview.asked, {}, [step_id]).total().n_steps == 1


def test_rows_that_are_reused_are_not_made(spec: Path) -> None:
    found = planned(spec)
    (step_id, *_) = [s for s in found.diff.plan.steps if s.startswith("generate-")]
    half = {step_id: replace(found.overview.rows[step_id], n_made=5)}
    made = estimates_of(found.overview.asked, half, [step_id]).total()
    assert (made.n_rows, made.n_requests) == (5, 5)
    assert made.n_new_tokens == found.estimates.steps[step_id].n_new_tokens / 2


def test_a_time_by_the_rule_on_a_gpu_that_is_not_listed_is_called_a_guess(spec: Path) -> None:
    found = planned(spec)
    unknown = Machine("RTX 4090", "cuda", 24 * 10**9, HERE.measure, is_known=False)
    guessed, ruled = (
        next(estimate_sentences(found.diff, replace(found.estimates, machine=machine)))
        for machine in (unknown, HERE)
    )
    assert "FLOP/s, which are a guess here" in guessed
    assert "a guess" not in ruled


COST = StepCost(
    "generate", "tiny-135m", "transformers", "float32", "cpu", 8.0, 0.5, 10, 10, 135_000_000, 10**9,
    1000, 600, 0.0, 100, "text", 0.0, 0.0, 0, 1, False,
)  # fmt: skip
GENERATED = Work(
    "generate", WEIGHTS, 10, 10, prompt_tokens=1000, new_tokens=600, most_new_tokens=100, longest=200
)


def test_without_rates_the_time_is_parameters_and_tokens_over_the_speed_of_the_machine() -> None:
    found = Rates().seconds(GENERATED, 135_000_000, HERE)
    assert found is not None
    computed = 2 * 135e6 * 1600 / 1e11
    read = 100 * 4 * 135e6 / 1e10
    assert found.seconds == pytest.approx(computed + read)
    assert not found.is_measured
    assert Rates().seconds(GENERATED, None, HERE) is None


def test_the_rates_of_finished_steps_return_the_time_that_they_took_and_grow_with_the_work() -> None:
    rates = rates_from([COST, COST], {})
    same = rates.seconds(GENERATED, 135_000_000, HERE)
    assert same is not None
    assert same.is_measured
    assert (same.seconds, same.overhead) == (pytest.approx(8.0), 0.5)
    twice = replace(GENERATED, n_rows=20, prompt_tokens=2000, new_tokens=1200)
    more = rates.seconds(twice, 135_000_000, HERE)
    assert more is not None
    assert same.seconds < more.seconds < 2 * same.seconds


def test_a_model_that_was_never_run_takes_the_factor_of_the_others_and_says_so() -> None:
    other = replace(GENERATED, model=Weights(package="other-1b", version="1"))
    rates = rates_from([COST], {})
    found, ruled = rates.seconds(other, 10**9, HERE), Rates().seconds(other, 10**9, HERE)
    assert found is not None
    assert ruled is not None
    same, rule = rates.seconds(GENERATED, 135_000_000, HERE), Rates().seconds(GENERATED, 135_000_000, HERE)
    assert same is not None
    assert rule is not None
    assert found.seconds / ruled.seconds == pytest.approx(same.seconds / rule.seconds)
    assert not found.is_measured


def test_steps_of_another_device_give_no_rates() -> None:
    found = rates_from([replace(COST, device="cuda")], {}).seconds(GENERATED, 135_000_000, HERE)
    assert found == Rates().seconds(GENERATED, 135_000_000, HERE)


def test_steps_that_only_reused_rows_give_no_rates() -> None:
    found = rates_from([replace(COST, n_made=0, seconds=0.1)], {}).seconds(GENERATED, 135_000_000, HERE)
    ruled = Rates().seconds(GENERATED, 135_000_000, HERE)
    assert found is not None
    assert ruled is not None
    assert found.seconds == ruled.seconds


def test_a_server_takes_its_own_measured_time_or_else_that_of_its_concurrency() -> None:
    server = Served.model_validate({"name": "m", "max_concurrency": 4})
    asked = Work("generate", server, 10, 10, prompt_tokens=100, new_tokens=1000, most_new_tokens=100)
    ruled = Rates().seconds(asked, None, HERE)
    assert ruled is not None
    assert ruled.seconds == pytest.approx((10 * 0.5 + 1000 / 50) / 4)
    measured = rates_from([replace(COST, model="m", engine="openai", seconds=30.0)], {})
    found = measured.seconds(replace(asked, n_rows=20), None, HERE)
    assert found is not None
    assert (found.seconds, found.is_measured) == (pytest.approx(60.0), True)


def test_a_vllm_started_here_takes_the_time_of_its_steps_on_this_gpu_which_they_name() -> None:
    gpu = Machine("NVIDIA H200", "cuda", 10**11, HERE.measure)
    asked = replace(GENERATED, model=Vllm(package="tiny-135m", version="1"))
    cost = replace(COST, engine="vllm", device=gpu.name)
    found = rates_from([cost], {}).seconds(asked, 135_000_000, gpu)
    assert found is not None
    assert (found.seconds, found.is_measured) == (pytest.approx(8.0), True)


def test_a_vllm_that_runs_already_takes_tokens_and_neither_time_nor_memory_of_this_machine(
    spec: Path,
) -> None:
    url = "models.tiny.base.base_url=http://elsewhere:8000"
    found = planned(spec, "methods.tuned=null", "models.tiny.base.engine=vllm", url).estimates
    here = planned(spec, "methods.tuned=null", "models.tiny.base.engine=vllm").estimates
    assert (here.total().device_seconds > 0, len(here.memory)) == (True, 1)
    assert (found.total().device_seconds, found.memory) == (0, {})
    assert found.total().n_served_tokens > here.total().n_served_tokens
    assert found.total().n_requests == here.total().n_requests


def test_cached_rows_give_the_bytes_of_a_token_and_the_length_of_replies(spec: Path) -> None:
    found = planned(spec)
    rates = rates_from([COST], {"tiny-135m": 2 * BYTES_PER_TOKEN})
    assert rates.tokens.reply_share == {("tiny-135m", "text"): pytest.approx(0.6)}
    step_id = next(s for s in found.diff.plan.steps if s.startswith("generate-"))
    before = WorkCounter(found.overview.asked).work(step_id)
    after = WorkCounter(found.overview.asked, rates.tokens).work(step_id)
    assert before is not None
    assert after is not None
    assert after.prompt_tokens == pytest.approx(before.prompt_tokens / 2)


def test_the_size_of_a_model_is_counted_stated_or_in_its_name() -> None:
    for weights, n_parameters in (
        (Weights(hub="org/Model-1.7B-Instruct"), 1_700_000_000),
        (Weights(package="smollm-270m-q4", version="1"), 270_000_000),
        (Weights(package="nothing", version="1"), None),
    ):
        found = model_size(weights, {})
        assert (None if found is None else found.n_parameters) == n_parameters
    counted = model_size(Weights(hub="org/Model-1.7B"), {"org/Model-1.7B": 7})
    assert counted is not None
    assert counted.n_parameters == 7


def test_training_all_weights_needs_their_gradients_and_moments_and_an_adapter_a_small_part() -> None:
    size = model_size(WEIGHTS, {"tiny-135m": 100})
    assert size is not None
    adapter = Work("sft", WEIGHTS, train_steps=1, rows_at_once=1, longest=1)
    whole = needed_bytes(replace(adapter, trains_all_weights=True), size, HERE)
    assert (whole.weights, whole.optimizer) == (400, 1200)
    assert needed_bytes(adapter, size, HERE).optimizer == 24


def test_a_step_that_cannot_fit_is_named_before_anything_runs(spec: Path) -> None:
    found = planned(spec).estimates
    assert found.too_large() == {}
    small = Estimates(replace(HERE, memory_bytes=10**9), found.steps, found.memory)
    assert small.too_large().keys() == found.memory.keys()
    huge = planned(spec, "models.tiny.parameters=1000000000000")
    text = huge.as_text()
    assert "of memory: 4000.0 GB for weights" in text
    assert json.loads(huge.to_json())["estimate"]["too_large"] == list(huge.estimates.too_large())


def test_an_engine_that_picks_its_batch_needs_the_memory_of_one_row_only() -> None:
    size = model_size(WEIGHTS, {"tiny-135m": 10**6})
    assert size is not None
    found = needed_bytes(replace(GENERATED, n_requests=1000), size, HERE)
    assert found.kv_cache > 500 * found.kv_cache_of_one
    assert found.least == found.total - found.kv_cache + found.kv_cache_of_one


def test_plan_shows_requests_tokens_time_and_money_and_what_they_rest_on(spec: Path) -> None:
    text = planned(spec).as_text(80)
    header = next(line for line in text.splitlines() if "requests" in line)
    assert header.split()[-4:] == ["requests", "tokens", "time", "USD"]
    assert "Estimated by parameters × tokens / FLOP/s: 60 requests" in text
    estimate = json.loads(planned(spec).to_json())["estimate"]
    assert (estimate["n_requests"], estimate["n_train_steps"]) == (60, 9)
