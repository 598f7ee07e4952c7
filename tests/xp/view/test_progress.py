"""Progress as `xp view` shows it, of an apply at work and of one that failed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Run
from tests.chromium import NEEDS_CHROMIUM, Visit, browser
from tests.warehouse.reported_study import HOSTILE
from tests.warehouse.reported_study import write_study as write_reported
from tests.xp.small_study import begin_apply, in_warehouse, plan_of, step_ids, write_study
from tests.xp.view.serving import ask, served
from xp.view.progress import Watched, _left


def run(step_id: str, seconds: float) -> Run:
    return Run(
        run_id=step_id,
        step_id=step_id,
        experiment="small",
        started_at="2026-01-02T03:04:05+00:00",
        seconds=seconds,
        status="done",
        host="lab",
    )


def test_time_left_is_the_mean_of_a_kind_for_what_waits_and_the_pace_of_rows_for_what_is_at_work(
    tmp_path: Path,
) -> None:
    plan = plan_of(write_study(tmp_path, languages=("en", "fr", "es")))
    data, generate, judge = (step_ids(plan, kind) for kind in ("data", "generate", "judge"))
    ended = [run(generate[0], 8.0), *(run(step, 1.0) for step in data)]
    at_work: list[dict[str, Any]] = [{"step": generate[1], "seconds": 2.0, "seconds_left": 5.0}]
    taken = frozenset([*data, *generate[:2]])
    assert _left(plan.study, taken, ended, at_work) == (5.0 + 8.0, False), "of judging nothing is known"
    ended.append(run(judge[0], 2.0))
    assert _left(plan.study, taken | {judge[0]}, ended, at_work) == (5.0 + 8.0 + 2 * 2.0, True)
    at_work = [
        {"step": generate[1], "seconds": 2.0, "seconds_left": None},
        {"step": generate[2], "seconds": 20.0, "seconds_left": None},
    ]
    assert _left(plan.study, taken | {judge[0], generate[2]}, ended, at_work) == ((6.0 + 0.0 + 4.0) / 2, True)
    assert _left(plan.study, frozenset(), [], []) == (None, False)


def test_the_step_in_which_a_process_loaded_its_model_says_little_of_those_to_come(tmp_path: Path) -> None:
    plan = plan_of(write_study(tmp_path, languages=("en", "fr", "es", "de")))
    generate = step_ids(plan, "generate")
    ended = [run(generate[0], 60.0), run(generate[1], 4.0), run(generate[2], 6.0)]
    taken = frozenset(plan.steps) - {generate[3]}
    assert _left(plan.study, taken, ended[:1], []) == (60.0, True), "the only one"
    assert _left(plan.study, taken, ended, []) == (5.0, True)
    other = [one.model_copy(update={"pid": 8}) for one in (run(generate[1], 70.0), run(generate[2], 8.0))]
    assert _left(plan.study, taken, [ended[0], *other], []) == (8.0, True), "each process has its own"


@pytest.mark.slow
def test_a_failed_step_is_shown_with_its_error_and_its_log_is_text(tmp_path: Path) -> None:
    write_reported(tmp_path, models={"tiny": 1000}, languages=("en",), n_items=1)
    (study,) = Watched(tmp_path).progress()["studies"]
    (failure,) = study["failures"]
    assert failure["error"] == f"judge went down: {HOSTILE[0]}"
    assert (study["n_done"], study["running"]) == (study["n_steps"] - 1, [])
    log = tmp_path / "steps" / f"{failure['step']}.tmp" / "log.txt"
    log.parent.mkdir()
    log.write_text(HOSTILE[0] + " é\n", "utf-8")
    with served(tmp_path) as port:
        status, headers, text = ask(port, f"/logs/{failure['step']}")
    assert (status, text) == (200, HOSTILE[0] + " é\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in headers["content-security-policy"]


@pytest.mark.slow
def test_an_apply_is_watched_row_by_row_and_never_held_up_by_the_watcher(tmp_path: Path) -> None:
    store = tmp_path / "store"
    apply = begin_apply(write_study(tmp_path, seconds_per_row=0.15), store)
    seen: list[dict[str, Any]] = []
    with served(store) as port:
        while apply.poll() is None:
            status, _, text = ask(port, "/progress")
            assert status == 200
            seen += [one for study in json.loads(text)["studies"] for one in study["running"]]
            ask(port, "/studies/small/page")
            time.sleep(0.05)
        said = apply.communicate()[0]
        (study,) = json.loads(ask(port, "/progress")[2])["studies"]
    assert apply.returncode == 0
    assert "to be loaded" not in said
    assert len(in_warehouse(store)["completions"]) == 40
    assert (study["n_done"], study["running"], study["failures"]) == (study["n_steps"], [], [])
    asking = [one for one in seen if one["total"] == 20 and one["rate"] and "zero_shot" in one["label"]]
    assert asking, "rows of a step that asks"
    assert all(0 < one["done"] <= 20 and one["seconds_left"] >= 0 for one in asking)
    assert not [*(store / "runs").glob("*.progress"), *(store / "runs").glob("*.begun")]


@pytest.mark.slow
@NEEDS_CHROMIUM
def test_a_page_opened_before_the_first_answer_comes_to_show_them(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with served(store) as port, browser() as chromium:
        visit = Visit(chromium.new_page(), f"http://127.0.0.1:{port}/")
        visit.page.get_by_text("Nothing was applied to this store").wait_for()
        apply = begin_apply(write_study(tmp_path, seconds_per_row=0.1), store)
        visit.page.locator("#running tbody tr").first.wait_for()
        assert "steps done; running" in visit.page.locator("#state").inner_text()
        apply.communicate()
        visit.page.get_by_text("no apply is at work").wait_for()
        visit.page.get_by_role("link", name="Reload").click()
        visit.page.locator("#list .row").first.wait_for()
        assert visit.page.locator("#list .row").count() == 40
        visit.page.click("#run")
        visit.page.locator("#result tbody tr").first.wait_for()
        assert visit.complaints == []
