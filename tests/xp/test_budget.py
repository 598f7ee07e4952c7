"""Studies with a budget: it is never overrun, stops without a failure, and goes on where it is raised."""

import contextlib
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from dsl.checks.load import load
from dsl.errors import ArgumentError, SpecError
from dsl.spec.budget import Budget, Use
from dsl.steps.steps import GenerateStep
from runners.store import spending
from runners.store.spending_ledger import Ledger
from runners.store.store import Store
from tests.fixtures.tiny_study import TINY
from tests.runners.engines.fake_server import Asked, Running, Said, completion, serving
from tests.xp import test_apply_served as served_study
from tests.xp import test_training_killed as trained_study
from tests.xp.small_study import HANG_SECONDS, apply_here, begin_apply, wait_for, workers_of
from xp import load as load_study
from xp.apply import apply
from xp.attempts import Applied
from xp.cli import app
from xp.estimates.budget import Limit, limits_of
from xp.estimates.estimating import Estimate
from xp.plan.published import plan_schema
from xp.remake import remake
from xp.render.results import applied_as_text
from xp.studies import diff_for, status_of

N_ITEMS = served_study.N_ITEMS
PER_REQUEST = 10
"""Tokens of an answer of `fake_server.completion`: 7 read and 3 written."""
PRICES = {"usd_per_million_prompt_tokens": 1000.0, "usd_per_million_new_tokens": 1000.0}


def write_study(folder: Path, server: Running, budget: dict[str, Any] | None, **changes: Any) -> Path:
    model = {**served_study.served(server), **PRICES, **changes.pop("model", {})}
    spec = served_study.write_study(folder, server, model=model)
    change(spec, budget=budget, **changes)
    return spec


def change(spec: Path, **changes: Any) -> None:
    spec.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), **changes}), "utf-8")


def applied_to(spec: Path) -> tuple[Applied, str]:
    """Apply in this process; the result, and as a person reads it."""
    store = spec.parent / "store"
    diff = diff_for(spec, None, None, store)
    result = apply(diff, store, in_process=True)
    return result, applied_as_text(diff, result)


def spent_on(spec: Path, experiment: str = "served") -> Use:
    ledger = Ledger(spec.parent / "store" / "spending" / f"{experiment}.jsonl")
    ledger.look()
    return ledger.spent


def most_of(folder: Path) -> int:
    """Tokens that each request of the study reserves: its bytes and the 16 that it may write."""
    with serving(answer) as server:
        applied_to(write_study(folder / "most", server, None))
    (most,) = {len(json.dumps(asked.body)) + 16 for asked in server.asked}
    return most


def answer(asked: Asked) -> Said:
    return completion("the answer is 6")


@pytest.mark.parametrize("limit", ["tokens", "usd"])
def test_a_budget_is_never_overrun_and_a_stopped_study_goes_on_when_it_is_raised(limit: str, tmp_path: Path):
    scale, most = 1 if limit == "tokens" else 1e-3, most_of(tmp_path)
    with serving(answer) as server:
        spec = write_study(tmp_path / "study", server, {limit: (most + 2.5 * PER_REQUEST) * scale})
        first, text = applied_to(spec)
        assert len(server.asked) == 3
        assert (first.n_failed, len(first.stopped), first.n_skipped) == (0, 1, 1)
        assert "Stopped by the budget: 1 step (3 of their 6 rows are kept)" in text
        assert "has no room for another request to tiny, of up to" in text
        assert "raise `budget` in the spec and apply again" in text
        second, _ = applied_to(spec)
        assert (len(second.stopped), len(server.asked)) == (1, 3)  # no room, so nothing is asked

        change(spec, budget={limit: (most + 100) * scale})
        last, text = applied_to(spec)
        assert (last.n_failed, last.stopped, len(server.asked)) == (0, (), N_ITEMS)
        assert "Spent so far: 0.06 USD, 60 tokens." in text
        assert served_study.todo(spec) == []


def test_a_plan_says_what_is_spent_what_is_left_and_if_the_estimate_fits(tmp_path: Path):
    most = most_of(tmp_path)

    def planned() -> tuple[dict[str, Any], str]:
        found = load_study(spec, store=spec.parent / "store").plan()
        plan = json.loads(found.to_json())
        jsonschema.validate(plan, plan_schema())
        return plan["budget"]["tokens"], found.as_text()

    with serving(answer) as server:
        spec = write_study(tmp_path / "study", server, {"tokens": most + 25})
        limit, text = planned()
        estimate = limit["estimated"]
        assert limit == {
            "limit": most + 25,
            "spent": 0,
            "left": most + 25,
            "estimated": estimate,
            "fits": False,
        }
        assert (
            f"Budget of {most + 25} tokens: 0 spent, {most + 25} left; the estimate of {estimate:,.0f} does"
            " not fit: apply would stop there"
        ) in text
        applied_to(spec)
        change(spec, budget={"tokens": 10_000})
        limit, text = planned()
        assert (limit["spent"], limit["left"], limit["fits"]) == (30, 9_970, True)
        assert 0 < limit["estimated"] < estimate, "reused rows cost nothing"
        applied_to(spec)
        limit, text = planned()
        assert (limit["spent"], limit["estimated"], limit["fits"]) == (60, 0, True)
        change(spec, budget=None)
        unlimited = load_study(spec, store=spec.parent / "store").plan()
        assert (unlimited.published.budget, "Budget" in unlimited.as_text()) == ({}, False)


def test_an_estimate_that_leaves_steps_out_fits_no_budget_for_certain():
    budget, spent = Budget(usd=2, device_hours=1), Use(usd=1.5, device_seconds=900)
    total = Estimate(usd=0.4, device_seconds=1800, n_served_tokens=7)
    found = limits_of(budget, spent, total)
    assert found["usd"] == Limit(limit=2, spent=1.5, left=0.5, estimated=0.4, fits=True)
    assert found["device_hours"] == Limit(limit=1, spent=0.25, left=0.75, estimated=0.5, fits=True)
    unsure = limits_of(budget, spent, replace(total, usd=0.6, n_uncounted=1))
    assert {name: one.fits for name, one in unsure.items()} == {"usd": False, "device_hours": None}
    assert limits_of(Budget(tokens=6), Use(tokens=9), total)["tokens"].left == 0


def test_reused_rows_cost_nothing(tmp_path: Path):
    with serving(answer) as server:
        spec = write_study(tmp_path, server, {"tokens": 10_000})
        applied_to(spec)
        change(spec, decoding={"max_new_tokens": 17}, budget={"tokens": 60})
        again, _ = applied_to(spec)
        assert (again.n_failed, again.stopped, len(server.asked)) == (0, (), N_ITEMS)
    assert spent_on(spec).tokens == N_ITEMS * PER_REQUEST


def test_reused_rows_cost_no_device_time_and_need_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(GenerateStep, "affinity", "a model in this process")
    with serving(answer) as server:
        spec = write_study(tmp_path, server, {"device_hours": 1})
        applied_to(spec)
        Store(tmp_path / "store").ledger("served").add(Use(device_seconds=3600))
        before = spent_on(spec)
        assert before.device_seconds > 3600
        change(spec, decoding={"max_new_tokens": 17})
        assert applied_to(spec)[0].stopped == ()
        assert (spent_on(spec), len(server.asked)) == (before, N_ITEMS)
        change(spec, decoding={"max_new_tokens": 17, "temperature": 0.5})
        assert len(applied_to(spec)[0].stopped) == 1
        assert len(server.asked) == N_ITEMS


def test_device_hours_of_generation_here_are_overrun_by_a_batch_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(spending, "_SECONDS_BETWEEN_ENTRIES", 0.0)
    spec = served_study.write_study(tmp_path, "", model={"path": str(TINY), "batch_size": 2})
    change(spec, budget={"device_hours": 1e-9})
    first, text = applied_to(spec)
    assert (first.n_failed, len(first.stopped)) == (0, 1)
    assert "device-hours is spent" in text
    (kept,) = tmp_path.glob("store/steps/generate-*.tmp/completions.jsonl")
    begun = kept.read_text("utf-8").splitlines()
    assert 1 <= len(begun) <= 2
    change(spec, budget={"device_hours": 1.0})
    last, _ = applied_to(spec)
    assert (last.n_failed, last.stopped) == (0, ())
    (whole,) = tmp_path.glob("store/steps/generate-*/completions.jsonl")
    assert whole.read_text("utf-8").splitlines()[: len(begun)] == begun
    assert len(whole.read_text("utf-8").splitlines()) == N_ITEMS


def test_a_budget_is_no_part_of_any_id_and_a_store_without_one_has_no_ledger(tmp_path: Path):
    with serving(answer) as server:
        spec = write_study(tmp_path, server, None)
        applied_to(spec)
        change(spec, budget={"usd": 0.001})
        assert served_study.todo(spec) == []
    assert not (tmp_path / "store" / "spending").exists()


def test_an_error_of_the_server_is_free_and_a_reply_that_is_lost_is_not(tmp_path: Path):
    lost = Said('{"choices":', 200, {"content-length": "9999", "connection": "close"})
    for said, is_free in ((Said("", 400), True), (lost, False)):
        folder = tmp_path / str(is_free)
        with serving(served_study.mostly(said)) as server:
            spec = write_study(folder, server, {"tokens": 10_000}, model={"max_retries": 0})
            applied_to(spec)
        answered = sum("3 + 3" not in asked.prompt for asked in server.asked)
        rest = spent_on(spec).tokens - PER_REQUEST * answered
        assert rest == 0 if is_free else rest == most_of(folder)


def test_rows_that_are_made_again_to_be_compared_are_paid_by_their_study(tmp_path: Path):
    most = most_of(tmp_path)
    with serving(answer) as server:
        spec = write_study(tmp_path / "study", server, {"tokens": 10_000})
        store = tmp_path / "study" / "store"
        applied_to(spec)
        made = remake(store, 0.5, seed=0, allow_env=True)
        assert (made.n_rows, made.faults, made.stopped) == (N_ITEMS // 2, (), "")
        assert spent_on(spec).tokens == (N_ITEMS + N_ITEMS // 2) * PER_REQUEST

        change(spec, budget={"tokens": most + 105})
        said = CliRunner().invoke(app, ["verify", "--remake", "100%", "--allow-env", "--store", str(store)])
        assert (said.exit_code, "0 of 6 rows of models made again" in said.output) == (3, True), said.output
        assert "Stopped by the budget: the budget of" in said.output
        assert spent_on(spec).tokens == (N_ITEMS + N_ITEMS // 2 + 2) * PER_REQUEST

        change(spec, budget={"tokens": "many"})
        with pytest.raises(ArgumentError, match=r"the budget of served cannot be read. `xp validate"):
            remake(store, 1.0, seed=0, allow_env=True)
        spec.rename(spec.with_name("elsewhere.yaml"))
        with pytest.raises(ArgumentError, match="served has a budget"):
            remake(store, 1.0, seed=0, allow_env=True)


# ---------------------------------------------------------------- processes


@pytest.mark.slow
def test_two_worker_processes_share_one_budget(tmp_path: Path):
    most, models = most_of(tmp_path), set[str]()

    def dear(asked: Asked) -> Said:
        """A third of what was reserved, once both models have been asked."""
        models.add(asked.body["model"])
        wait_for(lambda: len(models) == 2)
        said: Any = completion("six").body
        return Said({**said, "usage": {"prompt_tokens": most // 3, "completion_tokens": 0}})

    with serving(dear) as server:
        budget = {"tokens": 2 * most + 10}
        spec = write_study(
            tmp_path / "study", server, budget, model={"max_concurrency": 1, "timeout": HANG_SECONDS}
        )
        base = yaml.safe_load(spec.read_text())["models"]["m"]["base"]
        change(spec, models={name: {"base": {**base, "name": name}} for name in ("uno", "due")})
        store = tmp_path / "study" / "store"
        stopped = apply_here(spec, store, "--jobs", "2")
        assert stopped.returncode == 3, stopped.stdout + stopped.stderr
        assert "0 failed" in stopped.stdout
        assert len(server.asked) == 4  # a fifth might cost as much as three
        assert spent_on(spec).tokens == 4 * (most // 3)
        (study,) = status_of(store).studies
        assert [run.status for run in study.stopped] == ["stopped", "stopped"]

        change(spec, budget={"tokens": 10 * most})
        assert applied_to(spec)[0].stopped == ()
        assert len(server.asked) == 2 * N_ITEMS


@pytest.mark.slow
def test_requests_of_a_killed_apply_count_with_the_most_that_they_may_cost(tmp_path: Path):
    most = most_of(tmp_path)
    with serving(lambda _: Said(completion("six").body, seconds=1.0)) as server:
        spec = write_study(tmp_path / "study", server, {"tokens": 10 * most})
        store = tmp_path / "study" / "store"
        process = begin_apply(spec, store)
        wait_for(lambda: len(server.asked) >= 4)  # all that it asks at once
        for pid in (process.pid, *workers_of(store)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=HANG_SECONDS)
        wait_for(lambda: not workers_of(store))
        n_killed = len(server.asked)
        assert spent_on(spec).tokens == n_killed * most
        finished = apply_here(spec, store, "--in-process")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"{n_killed} requests of a killed apply count" in finished.stdout
    assert spent_on(spec).tokens == n_killed * most + N_ITEMS * PER_REQUEST


# ---------------------------------------------------------------- device time


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_device_hours_stop_a_training_at_a_checkpoint_and_it_goes_on_to_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(spending, "_SECONDS_BETWEEN_ENTRIES", 0.0)
    undisturbed, stopped = (
        trained_study.write_study(tmp_path / name) / "killed.yaml" for name in ("undisturbed", "stopped")
    )
    training = {"max_steps": 4, "save_steps": 50, "per_device_train_batch_size": 2, "max_length": 64}
    methods = {"sft": {"method": "sft", "train": "instructions", "training": training}}
    for spec in (undisturbed, stopped):
        change(spec, methods=methods)
    assert applied_to(undisturbed)[0].n_failed == 0

    change(stopped, budget={"device_hours": 1e-9})
    first, text = applied_to(stopped)
    assert ([one.step_id[:3] for one in first.stopped], first.n_failed) == (["sft"], 0)
    assert "the budget of 1e-09 device-hours is spent" in text
    assert first.stopped[0].n_rows == 1  # one optimiser step
    before = spent_on(stopped, "killed").device_seconds
    assert applied_to(stopped)[0].stopped[0].n_rows == 0  # nothing is loaded for nothing
    assert spent_on(stopped, "killed").device_seconds < before + 1.0

    change(stopped, budget={"device_hours": 1.0})
    assert applied_to(stopped)[0].stopped == ()
    (step_id,) = [one for one in Store(tmp_path / "stopped" / "store").done() if one.startswith("sft")]
    store = tmp_path / "stopped" / "store" / "steps"
    assert json.loads((store / step_id / "outcome.json").read_text())["facts"]["resumed_from_step"] == 1
    losses = [
        [
            row
            for row in (tmp_path / name / "store" / "steps" / step_id / "metrics.jsonl")
            .read_text()
            .split("\n")
            if '"loss"' in row
        ]
        for name in ("undisturbed", "stopped")
    ]
    assert losses[0] == losses[1]


# ---------------------------------------------------------------- specs


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "a budget names at least one limit: `usd`, `tokens` or `device_hours`"),
        ({"gpu_hours": 3}, "`device_hours` are GPU-hours, and the machine's hours where it has no GPU"),
        ({"usd": 1}, "`budget.usd` is a limit on what tiny costs, which has no price. Name"),
    ],
)
def test_a_budget_that_could_not_be_kept_is_refused(budget: dict[str, Any], message: str, tmp_path: Path):
    spec = served_study.write_study(tmp_path, "http://localhost:1/v1")
    change(spec, budget=budget)
    with pytest.raises(SpecError) as caught:
        load(spec)
    assert message in str(caught.value)
