"""`xp pull` merges the finished steps of another store: whole ones, and none that would be made again."""

import shutil
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from dsl.data.records import Label, Outcome, Run, read_record
from dsl.errors import ArgumentError, StoreError, StoreLocked, WarehouseError
from runners.store.digests import describe
from runners.store.step_io import write_json
from runners.store.store import Store
from tests.xp.small_study import all_rows, in_warehouse, plan_of, step_ids, write_study
from warehouse.load import rebuild
from xp import load
from xp.cli import app
from xp.pull import pull
from xp.verify import verify

LABEL = Label(answer_id="a" * 16, score=1.0)


def apply(spec: Path, store: Path, *targets: str) -> None:
    study = load(spec, store=store)
    study.apply(study.plan(targets), in_process=True, report=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study; stores that have the one and the other language of it; and a store that made all."""
    folder = tmp_path_factory.mktemp("pull")
    spec = write_study(folder, n_items=3)
    for store, judge in zip(("one", "other"), step_ids(plan_of(spec), "judge"), strict=True):
        apply(spec, folder / store, judge)
    apply(spec, folder / "all")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "study"))


def scores(store: Path) -> list[tuple[object, ...]]:
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute("select * from score_by_cell order by all").fetchall()


def only(store: Path, kind: str) -> str:
    """The step of a kind of which a store has one."""
    (found,) = [step_id for step_id in Store(store).done() if step_id.startswith(f"{kind}-")]
    return found


def files_of(store: Path) -> dict[str, bytes]:
    found = [path for path in sorted(store.rglob("*")) if path.is_file() and path.name != "lock"]
    kept = [path for path in found if not path.name.startswith("warehouse") and "cache" not in path.parts]
    return {str(path.relative_to(store)): path.read_bytes() for path in kept}


def test_two_halves_of_a_study_are_one_with_nothing_to_run_and_the_tables_of_a_store_that_made_all(
    folder: Path,
) -> None:
    new, spec = folder / "new", folder / "small.yaml"
    first, second = pull(new, folder / "one"), pull(new, folder / "other")
    assert (first.n_steps, first.studies, second.n_steps, second.studies) == (3, ("small",), 3, ())
    assert (first.left, first.notes, second.left, second.notes) == ({}, (), {}, ())
    assert load(spec, store=new).plan().todo == ()
    assert all_rows(new) == all_rows(folder / "all")
    assert in_warehouse(new) == in_warehouse(folder / "all")
    assert scores(new) == scores(folder / "all")
    assert {path.name.partition("-")[2] for path in (new / "runs").iterdir()} == {
        path.name.partition("-")[2] for path in (folder / "all" / "runs").iterdir()
    }
    assert not verify(new).faults


def test_a_second_pull_copies_nothing_and_changes_no_file(folder: Path) -> None:
    pull(folder / "new", folder / "one")
    before = files_of(folder / "new")
    again = pull(folder / "new", folder / "one")
    assert (again.n_steps, again.n_there, again.left) == (0, 3, {})
    assert files_of(folder / "new") == before


def test_the_other_store_is_only_read_and_shares_no_file(folder: Path) -> None:
    before = files_of(folder / "one")
    pull(folder / "new", folder / "one")
    rows = Store(folder / "new").step_folder(only(folder / "one", "generate")) / "completions.jsonl"
    rows.write_text("")
    assert files_of(folder / "one") == before


def test_a_damaged_step_is_named_and_left_and_the_exit_code_says_so(folder: Path) -> None:
    step_id = only(folder / "one", "generate")
    rows = Store(folder / "one").step_folder(step_id) / "completions.jsonl"
    rows.write_bytes(rows.read_bytes().split(b"\n")[0] + b"\n")
    result = CliRunner().invoke(app, ["pull", str(folder / "one"), "--store", str(folder / "new")])
    assert result.exit_code == 1
    assert f"not pulled: {step_id}: completions.jsonl has 1 of the 3 rows" in result.output
    assert not Store(folder / "new").is_done(step_id)


@pytest.mark.parametrize("is_link", [True, False])
def test_a_link_or_a_name_that_leads_out_of_a_step_s_folder_is_never_followed(
    folder: Path, is_link: bool
) -> None:
    step_id = only(folder / "one", "data")
    at, secret = Store(folder / "one").step_folder(step_id), folder / "secret"
    if is_link:
        (at / "examples.jsonl").rename(secret)
        (at / "examples.jsonl").symlink_to(secret)
    else:
        outcome = read_record(at / "outcome.json", Outcome)
        named = {"../../../secret": next(iter(outcome.files.values()))}
        write_json(at / "outcome.json", outcome.model_copy(update={"files": named}))
    assert list(pull(folder / "new", folder / "one").left) == [step_id]
    assert not (folder / "new" / "steps" / step_id).exists()


def test_a_step_made_from_other_rows_than_this_store_holds_is_left(folder: Path) -> None:
    new, judge, answers = folder / "new", only(folder / "one", "judge"), only(folder / "one", "generate")
    pull(new, folder / "one")
    shutil.rmtree(Store(new).step_folder(judge))
    at = Store(new).step_folder(answers)
    (at / "completions.jsonl").write_text((at / "completions.jsonl").read_text("utf-8").replace("Wie", "Was"))
    outcome = read_record(at / "outcome.json", Outcome)
    write_json(at / "outcome.json", outcome.model_copy(update={"files": describe(at)}))
    found = pull(new, folder / "one")
    assert found.left == {judge: f"it was made from other rows of its input {answers} than this store holds"}


def test_a_pull_that_is_stopped_half_way_leaves_whole_steps_and_the_next_one_brings_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, rename = folder / "new", Path.rename

    def stop(path: Path, to: Path) -> Path:
        if path.name.startswith("pulled-judge"):
            raise KeyboardInterrupt
        return rename(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            pull(new, folder / "one")
    assert {path.name.partition("-")[0] for path in (new / "steps").iterdir()} == {"data", "generate"}
    (new / "steps" / "pulled-judge-0000000000000000.tmp").mkdir()  # as a kill leaves it
    assert pull(new, folder / "one").n_steps == 1
    assert all_rows(new) == all_rows(folder / "one")
    assert len(list((new / "runs").iterdir())) == len(list((folder / "one" / "runs").iterdir()))


def test_a_study_whose_loading_failed_is_loaded_by_the_next_pull(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = folder / "new"
    (new / "steps").mkdir(parents=True)
    rebuild(new)

    def fail(*_: object) -> tuple[str, ...]:
        raise WarehouseError("another process has it open")

    with monkeypatch.context() as patched:
        patched.setattr("warehouse.load._load", fail)
        with pytest.raises(WarehouseError):
            pull(new, folder / "one")
    assert pull(new, folder / "one").n_steps == 0
    assert scores(new) == scores(folder / "one") != []


def test_attempts_that_a_kill_left_behind_come_with_the_next_pull(folder: Path) -> None:
    new, judge = folder / "new", only(folder / "one", "judge")
    (attempt,) = [path for path in (folder / "one" / "runs").iterdir() if judge in path.name]
    run = read_record(attempt, Run).model_copy(update={"run_id": f"later-{judge}"})
    second = attempt.with_name(f"{run.run_id}.json")
    write_json(second, run)
    pull(new, folder / "one")
    (new / "runs" / second.name).unlink()
    pull(new, folder / "one")
    assert (new / "runs" / second.name).exists()


@pytest.mark.parametrize(
    "kept", ["labels/small/ann.jsonl", "spending/small.jsonl", "experiments/earlier/small~1.json"]
)
def test_records_of_a_study_that_was_removed_here_are_not_written_over(folder: Path, kept: str) -> None:
    new, ours = folder / "new", LABEL.model_dump_json() + "\n"
    for store, text in ((new, ours), (folder / "one", ours.replace("1.0", "0.0"))):
        (store / kept).parent.mkdir(parents=True, exist_ok=True)
        (store / kept).write_text(text)
    found = pull(new, folder / "one")
    assert (new / kept).read_text() == ours
    assert found.studies == ()
    assert any(kept in note and "Move them away" in note for note in found.notes)
    (new / kept).unlink()
    assert pull(new, folder / "one").studies == ("small",)


def test_labels_come_with_a_study_and_those_that_differ_from_this_store_s_are_named(folder: Path) -> None:
    Store(folder / "one").record_labels("small", "ann", [LABEL])
    pull(folder / "new", folder / "one")
    assert (folder / "new" / "labels" / "small" / "ann.jsonl").exists()
    Store(folder / "one").record_labels("small", "ann", [LABEL.model_copy(update={"score": 0.0})])
    (note,) = pull(folder / "new", folder / "one").notes
    assert "labels/small/ann.jsonl" in note


def test_a_bucket_is_named_as_it_was_written_and_what_shares_it_is_said(folder: Path) -> None:
    done = CliRunner().invoke(app, ["pull", "s3://group/studies", "--store", str(folder / "new")])
    assert done.exit_code == 2
    assert "s3://group/studies is no folder" in done.output
    assert "`xp apply SPEC --share s3://group/studies`" in done.output


def test_what_is_no_other_store_is_refused_and_so_is_a_store_in_use(folder: Path) -> None:
    with pytest.raises(StoreError, match="is no store"):
        pull(folder / "new", folder / "nowhere")
    with pytest.raises(ArgumentError, match="is this store"):
        pull(folder / "one", folder / "one")
    with Store(folder / "all").lock(), pytest.raises(StoreLocked):
        pull(folder / "all", folder / "one")
