"""`xp drift` says what moved: in the lock, and in a judge behind a real HTTP server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from runners.store.store import Store
from tests.runners.engines.fake_server import Asked, Running, Said, chat, serving
from tests.xp.small_study import write_study
from xp.apply import apply
from xp.cli import app
from xp.drift import N_CANARIES, drift
from xp.lock import lock, read, write
from xp.studies import diff_for

N_ITEMS = 8


def judged_study(folder: Path, server: Running, **model: Any) -> Path:
    """A study of the echo engine whose answers a served model judges on one aspect."""
    spec = write_study(folder, languages=("en",), n_items=N_ITEMS)
    study = json.loads(spec.read_text("utf-8"))
    served = {"engine": "openai", "name": "tiny", "base_url": server.url, "max_retries": 0, "timeout": 5.0}
    opinion = {"judge": "rubric", "rubric": "overall", "model": {**served, **model}}
    study["judges"]["opinion"] = opinion
    spec.write_text(json.dumps(study), "utf-8")
    return spec


def verdict(score: str, model: str = "served-42") -> Said:
    said = chat(json.dumps({"overall": {"reason": "fine", "score": score}}))
    assert isinstance(said.body, dict)
    return Said({**said.body, "model": model})


def applied(spec: Path) -> Path:
    store = spec.parent / "store"
    found = apply(diff_for(spec, None, None, store), store, in_process=True)
    assert found.n_failed == 0
    return store


def test_nothing_has_moved_where_a_judge_says_again_what_it_said(tmp_path: Path) -> None:
    with serving(lambda asked: verdict("4")) as server:
        spec = judged_study(tmp_path, server)
        store = applied(spec)
        lock(spec, (), store)
        n_before, files = len(server.asked), sorted(store.rglob("*"))
        found = drift(spec, (), store)
        assert (found.moved, found.unknown) == ((), ())
        assert f"{N_CANARIES} verdicts of the judge opinion, given again" in found.looked_at
        assert "entries of files" in found.looked_at[0]
        assert len(server.asked) == n_before + N_CANARIES, "no other answer is judged"
    assert sorted(store.rglob("*")) == files, "nothing is written into the store"


@pytest.mark.parametrize(
    ("then", "says"),
    [
        (
            lambda asked: verdict("4", "served-43"),
            "judge opinion: {host} named the model served-42 and names served-43 now",
        ),
        (
            lambda asked: verdict("2" if "3 + 3" in asked.prompt else "4"),
            "judge opinion: 1 of 5 verdicts given again are others, on average by -0.4",
        ),
        (
            lambda asked: chat("I would rather not."),
            "judge opinion: 5 of 5 verdicts given again are others, 5 of them without a score now",
        ),
    ],
)
def test_a_judge_that_is_another_or_judges_otherwise_has_moved(
    tmp_path: Path, then: Callable[[Asked], Said], says: str
) -> None:
    answer: list[Callable[[Asked], Said]] = [lambda asked: verdict("4")]
    with serving(lambda asked: answer[0](asked)) as server:
        spec = judged_study(tmp_path, server)
        store = applied(spec)
        answer[0] = then
        host = server.url.removesuffix("/v1")
        assert says.format(host=host) in drift(spec, (), store).moved


def test_a_server_that_is_gone_and_a_lock_that_is_not_there_are_not_known_and_nothing_has_moved(
    tmp_path: Path,
) -> None:
    with serving(lambda asked: verdict("4")) as server:
        spec = judged_study(tmp_path, server)
        store = applied(spec)
    found = drift(spec, (), store)
    assert (found.moved, found.looked_at) == ((), ())
    assert [line.partition(":")[0] for line in found.unknown] == [
        "files, packages and commits",
        "judge opinion",
    ]


def test_a_key_is_not_sent_to_a_server_that_this_store_never_sent_it_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XP_TEST_KEY", "a-key-of-the-test")
    with serving(lambda asked: verdict("4")) as server:
        spec = judged_study(tmp_path, server, api_key_env="XP_TEST_KEY")
        store = applied(spec)
        n_before = len(server.asked)
        found = drift(spec, (), store)
        assert len(server.asked) == n_before
        assert any("may not send XP_TEST_KEY" in line for line in found.unknown)


def test_the_study_pays_for_what_its_judges_judge_again_as_far_as_its_budget_goes(tmp_path: Path) -> None:
    with serving(lambda asked: verdict("4")) as server:
        spec = judged_study(tmp_path, server)
        study = json.loads(spec.read_text("utf-8"))
        budget: dict[str, int] = {"tokens": 10**7}
        study["budget"] = budget
        spec.write_text(json.dumps(study), "utf-8")
        store = applied(spec)
        before = Store(store).spent("small")
        assert any("given again" in line for line in drift(spec, (), store).looked_at)
        after = Store(store).spent("small")
        assert before is not None
        assert after is not None
        assert after.tokens > before.tokens
        budget["tokens"] = after.tokens
        spec.write_text(json.dumps(study), "utf-8")
        n_before = len(server.asked)
        assert any("budget of" in line for line in drift(spec, (), store).unknown)
        assert len(server.asked) == n_before


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["drift", *arguments])


def test_the_exit_code_is_0_where_nothing_moved_and_3_where_something_did(tmp_path: Path) -> None:
    spec = write_study(tmp_path / "study", n_items=2)
    arguments = (str(spec), "--store", str(tmp_path / "store"))
    lock(spec, (), tmp_path / "store")
    assert run(*arguments).exit_code == 0
    found = read(spec)
    assert found is not None
    write(found.model_copy(update={"packages": {**found.packages, "torch": "0.1"}}), spec)
    moved = run(*arguments)
    assert moved.exit_code == 3
    assert "packages.torch: it was 0.1 and is 2" in moved.stdout
    assert run(str(tmp_path / "none.yaml")).exit_code == 2
