"""Studies whose model is asked through a provider's batch API: `xp apply` submits and ends, and a later one
goes on, whatever happened in between."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.spec.budget import Use
from runners.store.spending_ledger import Ledger
from tests.runners.engines.fake_batches import Provider, Row, answered, providing, refused, unasked
from tests.runners.engines.fake_server import SOON, Said
from tests.xp.small_study import HANG_SECONDS, begin_apply
from tests.xp.test_apply_served import COMPLETIONS, N_ITEMS, rows, run, served, todo, write_study
from xp import load
from xp.attempts import Applied
from xp.remake import remake
from xp.render.results import applied_as_text
from xp.studies import diff_for, status_of

PER_REQUEST = 10
"""Tokens of an answer of the provider."""
PRICES = {"usd_per_million_prompt_tokens": 1000.0, "usd_per_million_new_tokens": 1000.0}


def study_at(provider: Provider, folder: Path, budget: dict[str, Any] | None = None) -> Path:
    spec = write_study(folder, "", model={**served(provider.url), **PRICES, "batch": True})
    if budget is not None:
        spec.write_text(yaml.safe_dump({**yaml.safe_load(spec.read_text()), "budget": budget}), "utf-8")
    return spec


def in_words(spec: Path, applied: Applied) -> str:
    return applied_as_text(diff_for(spec, None, None, spec.parent / "store"), applied)


def correct(row: Row) -> Row:
    line = answered(row)
    line["response"]["body"]["choices"][0]["text"] = "the answer is 6"
    return line


def test_an_apply_submits_and_ends_and_a_later_one_fetches_and_judges(tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path)
        first = run(spec)
        assert (first.n_failed, first.n_skipped, [one.n_waiting for one in first.stopped]) == (0, 1, [6])
        text = in_words(spec, first)
        assert "6 requests wait at the provider: apply again to fetch what is answered" in text
        assert f"6 requests wait at {provider.url} in a batch (validating)" in text
        assert "budget" not in text
        (study,) = status_of(tmp_path / "store").studies
        assert [run.error for run in study.stopped] == [
            f"6 requests wait at {provider.url} in a batch (validating)"
        ]
        provider.begin()
        assert [one.n_waiting for one in run(spec).stopped] == [6]
        provider.end(correct)
        last = run(spec)
        assert (last.n_failed, last.stopped, todo(spec)) == (0, (), [])
        assert len(provider.batches) == 1
        n_asked = len(provider.asked)
        assert run(spec).n_done == 0
        assert len(provider.asked) == n_asked
    assert rows(spec, COMPLETIONS) == [(f"q{i}", "eos", "the answer is 6") for i in range(N_ITEMS)]
    assert rows(spec, "select sum(score) from step_verdicts where aspect = 'contains'") == [(1,)]
    assert not [*(tmp_path / "store" / "steps").rglob("batches")]


def test_a_plan_counts_half_of_the_price_and_says_that_answers_take_a_day(tmp_path: Path):
    alone = write_study(tmp_path / "alone", "", model={**served("http://localhost:1/v1"), **PRICES})
    batch = yaml.safe_load(alone.read_text())
    batch["models"]["m"]["base"]["batch"] = True
    spec = tmp_path / "alone" / "batch.yaml"
    spec.write_text(yaml.safe_dump(batch), "utf-8")
    plans = [load(one, store=tmp_path / "store").plan() for one in (spec, alone)]
    in_batches, one_by_one = [plan.estimates.total() for plan in plans]
    assert in_batches.usd == pytest.approx(one_by_one.usd / 2)
    assert in_batches.usd > 0
    said = "6 requests of these in batches, half of whose price is counted"
    assert [said in " ".join(plan.as_text(120).split()) for plan in plans] == [True, False]


def test_a_batch_names_its_step_at_the_provider(tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path)
        (stopped,) = run(spec).stopped
        assert provider.batches[0]["metadata"]["step"] == stopped.step_id


def test_rows_made_in_batches_are_those_of_requests_sent_one_by_one(tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path / "batch")
        run(spec)
        provider.end()
        run(spec)
        alone = write_study(tmp_path / "alone", "", model=served(provider.url))
        run(alone)
        assert [*diff_for(spec, None, None, tmp_path).plan.steps] == [
            *diff_for(alone, None, None, tmp_path).plan.steps
        ]
    assert rows(spec, COMPLETIONS) == rows(alone, COMPLETIONS)


def test_rows_that_a_batch_leaves_open_are_asked_again_in_another(tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path)
        run(spec)
        provider.end(
            lambda row: unasked(row) if "3 + 3" in row["body"]["prompt"] else correct(row), "expired"
        )
        assert run(spec).n_failed == 0
        assert [(item, reason) for item, reason, _ in rows(spec, COMPLETIONS) if reason != "eos"] == [
            ("q3", "error")
        ]
        assert [one.n_waiting for one in run(spec).stopped] == [1]
        provider.end(correct)
        assert run(spec).stopped == ()
        assert [len(provider.rows(batch)) for batch in range(len(provider.batches))] == [N_ITEMS, 1]
    assert {reason for _, reason, _ in rows(spec, COMPLETIONS)} == {"eos"}


@pytest.mark.parametrize("is_judge", [False, True])
def test_a_provider_that_is_down_loses_no_batch_of_rows_that_are_asked_again(is_judge: bool, tmp_path: Path):
    with providing() as provider:
        spec, correct_one = study_at(provider, tmp_path), correct
        if is_judge:
            model = {**served(provider.url), "batch": True}
            judge = {"judge": "rubric", "rubric": "overall", "model": model}
            spec, correct_one = write_study(tmp_path, "", judge=judge, model={"engine": "echo"}), verdict
        run(spec)
        provider.end(
            lambda row: unasked(row) if "3 + 3" in json.dumps(row["body"]) else correct_one(row), "expired"
        )
        assert run(spec).n_failed == 0
        assert [one.n_waiting for one in run(spec).stopped] == [1]
        provider.before = lambda asked: Said(b"", 502, SOON)
        assert run(spec).n_failed == 1
        provider.before = silent
        provider.end(correct_one)
        last = run(spec)
        assert (last.n_failed, last.stopped, todo(spec)) == (0, (), [])
        assert len(provider.batches) == 2


@pytest.mark.parametrize("status", ["expired", "failed", "cancelled"])
def test_a_batch_without_any_answer_is_a_failed_step_and_is_submitted_again(status: str, tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path)
        run(spec)
        provider.end(lambda row: None, status)
        failed = run(spec)
        assert failed.n_failed == 1
        assert "gave no answer to 6 of 6 requests" in str(failed.failures[0])
        assert [one.n_waiting for one in run(spec).stopped] == [6]
        assert len(provider.batches) == 2


def ledger_of(spec: Path) -> Ledger:
    ledger = Ledger(spec.parent / "store" / "spending" / "served.jsonl")
    ledger.look()
    return ledger


def most_of(provider: Provider) -> Use:
    """The most that the last batch may cost."""
    n_tokens = len(provider.files[provider.batches[-1]["input_file_id"]]) + N_ITEMS * 16
    return Use(usd=n_tokens * 0.5e-3, tokens=n_tokens)


def test_a_batch_reserves_half_of_the_highest_price_until_it_has_ended(tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path, {"usd": 10})
        run(spec)
        single = Use(usd=PER_REQUEST * 1e-3, tokens=PER_REQUEST)  # sent first, by itself
        waiting = ledger_of(spec).spent
        assert waiting == single + most_of(provider)
        run(spec)  # which settles what a killed apply left, but no batch
        assert ledger_of(spec).spent == waiting
        provider.end(lambda row: correct(row) if "3 + 3" not in row["body"]["prompt"] else refused(row))
        applied = run(spec)
    took = (N_ITEMS - 1) * PER_REQUEST
    assert ledger_of(spec).spent == single + Use(usd=took * 0.5e-3, tokens=took)
    assert f"Spent so far: {ledger_of(spec).spent}." in in_words(spec, applied)


def test_rows_that_are_made_again_one_by_one_are_charged_at_the_full_price(tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path, {"usd": 10})
        run(spec)
        provider.end()
        run(spec)
        before = ledger_of(spec).spent
        made = remake(tmp_path / "store", 1.0, 0, allow_env=True)
        assert (made.n_rows, len(provider.batches)) == (N_ITEMS, 1)
    took = N_ITEMS * PER_REQUEST
    assert ledger_of(spec).spent.usd - before.usd == pytest.approx(took * 1e-3)


def test_a_batch_that_the_budget_has_no_room_for_is_not_submitted(tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path, {"usd": 0.2})
        stopped = run(spec)
        assert (provider.files, provider.batches) == ({}, [])
        assert [one.n_waiting for one in stopped.stopped] == [0]
        text = in_words(spec, stopped)
        assert "the budget of 0.2 USD has no room for the batch of requests to tiny, of up to" in text
        assert "Stopped by the budget: 1 step" in text
        study_at(provider, tmp_path, {"usd": 10})
        assert [one.n_waiting for one in run(spec).stopped] == [6]


def verdict(row: Row) -> Row:
    line = answered(row)
    content = json.dumps({"overall": {"reason": "fine", "score": "4"}})
    line["response"]["body"]["choices"][0]["message"] = {"role": "assistant", "content": content}
    return line


def test_a_judge_is_asked_in_batches_and_half_of_the_price_stands_beside_its_verdicts(tmp_path: Path):
    with providing() as provider:
        model = {**served(provider.url), **PRICES, "batch": True}
        judge = {"judge": "rubric", "rubric": "overall", "repeats": 2, "temperature": 0.5, "model": model}
        spec = write_study(tmp_path, "", judge=judge, model={"engine": "echo"})
        first = run(spec)
        assert (first.n_failed, [one.n_waiting for one in first.stopped]) == (0, [2 * N_ITEMS])
        provider.end(verdict)
        last = run(spec)
        assert (last.n_failed, last.stopped, todo(spec)) == (0, (), [])
    ((n, score, usd),) = rows(
        spec, "select count(*), avg(score), max(usd) from step_verdicts where aspect = 'overall'"
    )
    assert (n, score, usd) == (N_ITEMS, 4, pytest.approx(2 * PER_REQUEST * 0.5e-3))


def silent(asked: str) -> Said | None:
    return None


KILLS = {
    "the request to upload": ("before", "POST files"),
    "the upload": ("meanwhile", "POST files"),
    "the request to create": ("before", "POST batches"),
    "the creation": ("meanwhile", "POST batches"),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
@pytest.mark.parametrize(("hook", "at"), KILLS.values(), ids=KILLS)
def test_a_kill_while_submitting_loses_no_batch_and_submits_none_twice(hook: str, at: str, tmp_path: Path):
    with providing() as provider:
        spec = study_at(provider, tmp_path, {"usd": 10})
        process: list[subprocess.Popen[str]] = []

        def kill(asked: str) -> Said | None:
            if asked == at:
                os.killpg(process[0].pid, signal.SIGKILL)
                process[0].wait()
                setattr(provider, hook, silent)
                return Said({}, 500)
            return None

        setattr(provider, hook, kill)
        with provider.lock:
            process.append(begin_apply(spec, tmp_path / "store", "--in-process"))
        out, err = process[0].communicate(timeout=HANG_SECONDS)
        assert process[0].returncode == -signal.SIGKILL, out + err
        n_created = len(provider.batches)
        assert n_created == (1 if at == "POST batches" and hook == "meanwhile" else 0)
        assert [one.n_waiting for one in run(spec).stopped] == [6]
        assert len(provider.batches) == 1
        spent = ledger_of(spec).spent.usd
        assert spent == pytest.approx(most_of(provider).usd + PER_REQUEST * 1e-3 * (2 - n_created))
        provider.end(correct)
        assert run(spec).stopped == ()
    assert rows(spec, COMPLETIONS) == [(f"q{i}", "eos", "the answer is 6") for i in range(N_ITEMS)]
