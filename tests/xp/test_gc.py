"""`xp gc` removes what no spec of a folder needs, and nothing else; a kill leaves a sound store."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from dsl.data.records import Label
from dsl.errors import ArgumentError, DataError, StoreError, StoreLocked, WarehouseError
from runners.store.store import Store
from tests.xp.small_study import all_rows, in_warehouse, plan_of, step_ids, write_study
from warehouse.load import load_store
from xp import load
from xp.cli import app
from xp.gc import find_garbage, remove_garbage
from xp.studies import diff_for
from xp.verify import verify

LABEL = Label(answer_id="a" * 16, score=1.0)


def rename(spec: Path, experiment: str) -> Path:
    """Give a spec's experiment another name."""
    spec.write_text(json.dumps(json.loads(spec.read_text("utf-8")) | {"experiment": experiment}), "utf-8")
    return spec


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two studies, `small` and `other`, that have no step in common, and their store."""
    folder = tmp_path_factory.mktemp("gc")
    specs = (
        write_study(folder / "small", languages=("en",), n_items=4),
        rename(write_study(folder / "other", languages=("fr",), n_items=3), "other"),
    )
    for spec in specs:
        load(spec, store=folder / "store").apply(in_process=True, report=False)
    Store(folder / "store").record_labels("other", "ann", [LABEL])
    load_store(folder / "store", [])
    big = folder / "store" / "cache" / "models" / "converted"
    big.mkdir(parents=True)
    (big / "model.safetensors").write_bytes(bytes(5_000_000))
    return folder


@pytest.fixture
def folder(applied: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(applied, tmp_path / "study"))


def files_of(folder: Path) -> dict[str, bytes]:
    unlike = {"cache", "lock"}
    found = sorted(path for path in folder.rglob("*") if path.is_file() and unlike.isdisjoint(path.parts))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def steps_of(store: Path) -> set[str]:
    return {path.name for path in (store / "steps").iterdir()}


def test_a_store_whose_steps_are_all_needed_loses_nothing(folder: Path) -> None:
    before = all_rows(folder / "store"), in_warehouse(folder / "store")
    found = remove_garbage(folder / "store", [folder])
    assert (found.n_needed, found.parts, found.studies, len(found.specs)) == (6, (), (), 2)
    assert (all_rows(folder / "store"), in_warehouse(folder / "store")) == before


def test_steps_runs_and_record_of_a_study_without_a_spec_go_and_the_warehouse_follows(folder: Path) -> None:
    store, small = folder / "store", folder / "small"
    kept = {
        step_id: rows
        for step_id, rows in all_rows(store).items()
        if step_id in plan_of(small / "small.yaml").steps
    }
    found = remove_garbage(store, [small])
    assert [(part.kind, len(part.paths), part.n_rows) for part in found.parts] == [
        ("data", 1, 3),
        ("generate", 1, 3),
        ("judge", 1, 3),
        ("runs", 3, 0),
    ]
    assert all_rows(store) == kept
    assert {row[1] for row in in_warehouse(store)["completions"]} == {"q0", "q1", "q2", "q3"}
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select experiment from experiments").fetchall() == [("small",)]
        assert connection.execute("select count(*) from runs").fetchall() == [(3,)]
    assert verify(store).faults == ()
    assert diff_for(small / "small.yaml", None, None, store).todo == ()
    assert find_garbage(store, [small]).parts == ()
    assert (store / "experiments" / "earlier" / "other~1.json").is_file()


def test_labels_of_people_stay_and_are_named(folder: Path) -> None:
    found = remove_garbage(folder / "store", [folder / "small"])
    assert found.labels == ("other",)
    assert (folder / "store" / "labels" / "other" / "ann.jsonl").read_text("utf-8").count("\n") == 1


def test_without_yes_nothing_is_changed_and_sizes_and_the_cache_are_said(folder: Path) -> None:
    before = files_of(folder)
    said = CliRunner().invoke(app, ["gc", str(folder / "small"), "--store", str(folder / "store")])
    assert said.exit_code == 0
    assert files_of(folder) == before
    lines = said.output.splitlines()
    assert lines[1] == "of no spec: other"
    table = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    assert table["generate"] == ["0.0", "MB", "1", "step,", "3", "rows"]
    assert table["cache"][:2] == ["5.0", "MB"]
    assert lines[-1].startswith("Nothing is removed yet. `--yes` removes 0.0 MB, `--cache --yes` 5.0 MB")


def test_the_cache_goes_if_asked_for_and_the_steps_are_done_as_before(folder: Path) -> None:
    store = folder / "store"
    said = CliRunner().invoke(app, ["gc", str(folder), "--cache", "--yes", "--store", str(store)])
    assert (said.exit_code, said.output.splitlines()[-1]) == (0, "Removed: 5.0 MB.")
    assert not (store / "cache" / "models").exists()
    assert diff_for(folder / "small" / "small.yaml", None, None, store).todo == ()


def test_a_changed_spec_keeps_the_rows_that_it_will_reuse(folder: Path) -> None:
    store, spec = folder / "store", folder / "small" / "small.yaml"
    study = json.loads(spec.read_text("utf-8"))
    study["decoding"]["max_new_tokens"] = 32
    spec.write_text(json.dumps(study), "utf-8")
    remove_garbage(store, [folder / "small"])
    load(spec, store=store).apply(in_process=True, report=False)
    (generated,) = step_ids(plan_of(spec), "generate")
    outcome = json.loads((store / "steps" / generated / "outcome.json").read_text("utf-8"))
    assert (outcome["n_rows"], outcome["n_reused"]) == (4, 4)
    assert [part.kind for part in find_garbage(store, [folder / "small"]).parts] == [
        "generate",
        "judge",
        "runs",
    ]


def test_of_a_spec_that_is_not_valid_now_stays_what_was_applied_last(folder: Path) -> None:
    spec = folder / "other" / "small.yaml"
    (folder / "other" / "fr.jsonl").unlink()
    found = find_garbage(folder / "store", [folder])
    assert (found.parts, found.notes) == (
        (),
        (f"{spec} is not valid now (`xp validate {spec}`): what was applied last under its name stays",),
    )


def test_a_study_under_another_name_is_still_that_of_its_file(folder: Path) -> None:
    spec = folder / "small" / "small.yaml"
    load(spec, store=folder / "store", overrides=["experiment=renamed"]).apply(in_process=True, report=False)
    assert find_garbage(folder / "store", [folder]).studies == ()


def test_a_folder_that_says_nothing_of_what_is_needed_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "prompts.yaml").write_text("stop: [x]\n")
    before = files_of(folder)
    with pytest.raises(ArgumentError, match=r"no spec is there, so all of .* would go"):
        remove_garbage(folder / "store", [tmp_path / "none"])
    (folder / "small" / "half.yaml").write_text("experiment: [\n")
    with pytest.raises(ArgumentError, match=r"half.yaml cannot be read, so nothing says what it needs"):
        remove_garbage(folder / "store", [folder])
    (folder / "small" / "half.yaml").unlink()
    assert files_of(folder) == before


def test_specs_in_flow_style_and_behind_links_are_found(folder: Path, tmp_path: Path) -> None:
    spec = folder / "other" / "small.yaml"
    study = json.loads(spec.read_text("utf-8"))
    spec.write_text(json.dumps({"question": study.pop("question"), **study}), "utf-8")
    (tmp_path / "linked").mkdir()
    for name in ("small", "other"):
        (tmp_path / "linked" / name).symlink_to(folder / name)
    (tmp_path / "linked" / "round").symlink_to(tmp_path / "linked")
    found = find_garbage(folder / "store", [tmp_path / "linked"])
    assert (found.parts, found.studies, len(found.specs)) == ((), (), 2)


def test_a_folder_that_cannot_be_listed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir, closed = os.scandir, folder / "other"

    def denied(path: str) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", denied)
    with pytest.raises(DataError, match="other: Permission denied, so nothing says"):
        find_garbage(folder / "store", [folder])


def test_an_unreadable_record_of_a_spec_that_is_not_valid_is_refused(folder: Path) -> None:
    record = folder / "store" / "experiments" / "other.json"
    record.write_text("{")
    assert find_garbage(folder / "store", [folder]).studies == ()
    (folder / "other" / "fr.jsonl").unlink()
    with pytest.raises(ArgumentError, match=r"other\.json.* so nothing says what other needs"):
        find_garbage(folder / "store", [folder])


def test_steps_on_another_file_system_go_and_the_warehouse_is_made_again_whatever_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, steps = folder / "store", Path(shutil.move(folder / "store" / "steps", tmp_path / "disk"))
    (store / "steps").symlink_to(steps)
    remove = shutil.rmtree

    def failing(path: Path) -> None:
        remove(path / "none")

    monkeypatch.setattr("shutil.rmtree", failing)
    with pytest.raises(StoreError):
        remove_garbage(store, [folder / "small"])
    monkeypatch.undo()
    assert verify(store).faults == ()
    (aside,) = steps.glob("removed-*")
    assert "leftovers" in {part.kind for part in remove_garbage(store, [folder / "small"]).parts}
    assert not aside.exists()
    assert steps_of(store) == set(plan_of(folder / "small" / "small.yaml").steps)


def test_nothing_is_removed_while_an_apply_or_a_reader_has_the_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, before = folder / "store", files_of(folder)
    with Store(store).lock(), pytest.raises(StoreLocked):
        remove_garbage(store, [folder / "small"])

    def held(path: Path) -> None:
        raise WarehouseError(f"{path}: process 7 has the warehouse open")

    monkeypatch.setattr("warehouse.connect.wait_until_free", held)
    with pytest.raises(WarehouseError, match="process 7"):
        remove_garbage(store, [folder / "small"])
    assert files_of(folder) == before


def test_attempts_damaged_steps_and_leftovers_go_but_none_that_a_process_holds(folder: Path) -> None:
    store = Store(folder / "store")
    (step_id,) = step_ids(plan_of(folder / "other" / "small.yaml"), "generate")
    kept, gone = (f"generate-{digit * 16}" for digit in "12")
    step = plan_of(folder / "other" / "small.yaml").steps[step_id]
    for name in (store.root / "damaged" / gone, store.root / "removed-x.tmp", store.steps / f"{gone}.tmp"):
        name.mkdir(parents=True)
    with store.begin(kept, step):
        found = remove_garbage(store.root, [folder])
    assert {part.kind: len(part.paths) for part in found.parts} == {
        "leftovers": 1,
        "unfinished": 1,
        "damaged": 1,
    }
    assert [name for name in steps_of(store.root) if name.endswith(".tmp")] == [f"{kept}.tmp"]


def test_a_study_applied_after_its_warehouse_was_lost_leaves_the_other_studies_in_it(folder: Path) -> None:
    (folder / "store" / "warehouse.duckdb").unlink()
    load(folder / "small" / "small.yaml", store=folder / "store").apply(in_process=True, report=False)
    assert verify(folder / "store").faults == ()


KILLED_AT = """
import os, sys
from pathlib import Path
from xp.gc import remove_garbage
left = int(sys.argv[1])
def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        left -= 1
        if left == 0:
            os._exit(9)
sys.addaudithook(count)
remove_garbage(Path(sys.argv[2]), [Path(sys.argv[3])])
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 3, 4, 6, 8, 11, 14, 18, 23])
def test_a_process_that_ends_at_any_moment_leaves_a_sound_store(folder: Path, at: int) -> None:
    store, small = folder / "store", folder / "small"
    command = [sys.executable, "-c", KILLED_AT, str(at), str(store), str(small)]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode == 9
    assert verify(store).faults == ()
    for spec in (small / "small.yaml", folder / "other" / "small.yaml"):
        planned = diff_for(spec, None, None, store)
        assert not planned.faults
    remove_garbage(store, [small])
    assert verify(store).faults == ()
    assert steps_of(store) == set(plan_of(small / "small.yaml").steps)
    assert not list(store.glob("removed-*"))
    assert {row[1] for row in in_warehouse(store)["completions"]} == {"q0", "q1", "q2", "q3"}
