"""A store that another user reads, that is copied, moved or read-only, or whose clock jumped back."""

import datetime
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dsl.data.records import Outcome, Run, read_record
from runners.store.store import Store
from tests.xp.second_user import as_another_user, give_away
from tests.xp.small_study import all_rows, in_warehouse, plan_of, step_ids, write_study
from xp import load
from xp.cli import app
from xp.studies import diff_for
from xp.verify import verify

as_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can give files to another user"
)


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study, applied with one item and then with two."""
    folder = tmp_path_factory.mktemp("shared")
    for n_items in (1, 2):
        load(write_study(folder, n_items=n_items), store=folder / "store").apply(
            in_process=True, report=False
        )
    return folder


@pytest.fixture
def folder(applied: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(applied, tmp_path / "study"))
    folder.chmod(0o755)
    return folder


def states(store: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(store.rglob("*"))}


def ask(folder: Path, *words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "--store", str(folder / "store")])


def reading(folder: Path, mine: Path) -> list[list[object]]:
    spec = folder / "small.yaml"
    return [
        ["status"],
        ["query", "select count(*) from completions"],
        ["show", "zero_shot/en"],
        ["plan", spec],
        ["validate", spec],
        ["report", spec, "--out", mine / "report.html"],
        ["report", spec, "--format", "latex", "--out", mine / "report.tex"],
        ["diff", "small~1", "small"],
        ["bundle", "small", mine / "small.zip"],
        ["export", "small", "--format", "parquet", "--out", mine / "exported"],
        ["gc", folder],
        ["doctor", spec],
    ]


def writing(folder: Path, mine: Path) -> list[list[object]]:
    spec = folder / "small.yaml"
    write_study(folder, n_items=3)
    return [
        ["apply", spec, "--yes"],
        ["rebuild"],
        ["verify"],
        ["verify", "--remake", "5%"],
        ["gc", folder, "--yes"],
    ]


@as_root
def test_another_user_reads_a_store_and_changes_nothing_in_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    give_away(folder)
    before = states(folder / "store")
    for words in reading(folder, tmp_path / "mine"):
        with as_another_user():
            found = ask(folder, *words)
        assert found.exit_code == 0, (words, found.output)
        assert ("you may only read" in found.output) == (words[0] == "doctor")
    assert states(folder / "store") == before


@as_root
def test_what_another_user_may_not_do_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    wanted = writing(folder, tmp_path / "mine")
    give_away(folder)
    before = states(folder / "store")
    for words in wanted:
        with as_another_user():
            found = ask(folder, *words)
        assert isinstance(found.exception, SystemExit), (words, found.exception)
        assert (found.exit_code, "Permission denied" in found.output) == (1, True), (words, found.output)
    assert states(folder / "store") == before


@as_root
def test_a_store_that_its_owner_closed_is_no_traceback_in_any_command(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    wanted = [*reading(folder, tmp_path / "mine"), *writing(folder, tmp_path / "mine")]
    (folder / "store").chmod(0o700)
    give_away(folder)
    for words in wanted:
        with as_another_user():
            found = ask(folder, *words)
        assert isinstance(found.exception, SystemExit), (words, found.exception)
        assert (found.exit_code, "Permission denied" in found.output) == (1, True), (words, found.output)


def test_files_that_a_library_writes_for_their_owner_alone_are_as_readable_as_the_others(
    folder: Path,
) -> None:
    store, plan = Store(folder / "store"), plan_of(folder / "small.yaml")
    step_id = step_ids(plan, "generate")[0]
    with store.begin(step_id, plan.steps[step_id]) as out:
        (out / "adapter").mkdir()
        (out / "adapter" / "adapter_model.safetensors").touch(0o600)
        store.finish(step_id, Outcome(step_id=step_id, seconds=0.0))
    finished = store.step_folder(step_id)
    weights, step = finished / "adapter" / "adapter_model.safetensors", finished / "step.json"
    assert weights.stat().st_mode == step.stat().st_mode


@pytest.mark.parametrize("way", ["copied", "moved", "moved with its study"])
def test_a_store_that_is_copied_or_moved_is_the_same_store(folder: Path, tmp_path: Path, way: str) -> None:
    spec, store = folder / "small.yaml", folder / "store"
    rows = all_rows(store), in_warehouse(store)
    if way == "copied":
        store = Path(shutil.copytree(store, tmp_path / "copy"))
    elif way == "moved":
        store = store.rename(tmp_path / "elsewhere")
    else:
        folder = folder.rename(tmp_path / "elsewhere")
        spec, store = folder / "small.yaml", folder / "store"
    assert diff_for(spec, None, None, store).todo == ()
    assert verify(store).faults == ()
    assert load(spec, store=store).apply(in_process=True, report=False).n_done == 0
    assert (all_rows(store), in_warehouse(store)) == rows


def test_a_clock_that_jumped_back_loses_no_row_and_makes_none_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    store, later = Store(folder / "store"), datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)
    for path in store.runs.glob("*.json"):
        run = read_record(path, Run).model_copy(update={"started_at": later.isoformat()})
        path.write_text(run.model_dump_json(), "utf-8")
    for path in store.root.rglob("*"):
        os.utime(path, (later.timestamp(), later.timestamp()))
    (store.runs / "x.begun").write_text(
        Run(
            run_id="x",
            step_id="data-0123456789abcdef",
            experiment="small",
            started_at=later.isoformat(),
            seconds=0.0,
            status="interrupted",
            host="h",
        ).model_dump_json()
    )
    spec = folder / "small.yaml"
    assert diff_for(spec, None, None, store.root).todo == ()
    write_study(folder, n_items=4)
    applied = load(spec, store=store.root).apply(in_process=True)
    generated = step_ids(plan_of(spec), "generate")
    outcomes = [read_record(store.step_folder(one) / "outcome.json", Outcome) for one in generated]
    assert [(one.n_rows, one.n_reused) for one in outcomes] == [(4, 2), (4, 2)]
    assert all(one.seconds >= 0 for one in outcomes)
    assert json.loads((store.runs / "x.json").read_text("utf-8"))["seconds"] >= 0
    assert (applied.n_failed, applied.report is not None) == (0, True)
    assert len(in_warehouse(store.root)["completions"]) == 8
    assert ask(folder, "doctor").output.count("clock: ") == 1


@pytest.mark.parametrize("command", [["query", "select 1"], ["status"], ["report", "small"]])
def test_files_that_the_machine_refuses_are_named_and_are_no_traceback(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, **how: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refused)
    found = ask(folder, *command)
    assert isinstance(found.exception, SystemExit)
    assert (found.exit_code, "Permission denied. `xp doctor` examines" in found.output) == (1, True), (
        found.output
    )
