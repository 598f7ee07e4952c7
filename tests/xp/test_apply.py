import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from dsl.data.records import Outcome, Verdict, read_record
from dsl.errors import ArgumentError, StoreError, StoreLocked, XpError
from dsl.plan.diff import Diff, diff
from dsl.spec.resources import Execution, Executor
from runners.engines import echo
from runners.execution.events import Ended, Event, Skipped, Started
from runners.judges import reward
from runners.judges.contract import Answer, Tools
from runners.store.digests import describe
from runners.store.step_io import write_json
from runners.store.store import Store
from tests.fixtures.tiny_study import TINY
from tests.xp.small_study import ROWS, all_rows, diff_of, in_warehouse, plan_of, step_ids, write_study
from warehouse.report.reading import read_study
from warehouse.report.summary import summary
from xp.apply import apply
from xp.cli import app
from xp.studies import diff_for, rebuild, unlike_applied

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study and the store in which this process has applied it."""
    folder = tmp_path_factory.mktemp("finished")
    spec, store = write_study(folder / "study"), folder / "store"
    assert apply(diff_of(spec, store), store, in_process=True).n_done == 6
    return spec, store


@pytest.fixture
def store(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the finished store, to be changed."""
    return shutil.copytree(finished[1], tmp_path / "store")


@pytest.fixture
def spec(finished: tuple[Path, Path]) -> Path:
    """The study of `store`, to be left as it is."""
    return finished[0]


def test_an_apply_runs_every_step_and_loads_every_row(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"
    applied = apply(diff_of(spec, store), store)
    assert (applied.n_done, applied.n_failed, applied.n_skipped) == (6, 0, 0)
    held = in_warehouse(store)
    assert {name: len(rows) for name, rows in held.items()} == {
        "examples": 40,
        "completions": 40,
        "verdicts": 40,
    }
    assert sorted(all_rows(store)) == sorted(plan_of(spec).steps)


def test_a_second_apply_runs_nothing_and_starts_no_worker(spec: Path, store: Path) -> None:
    runs = sorted((store / "runs").iterdir())
    events: list[Event] = []
    applied = apply(diff_of(spec, store), store, watch=events.append)
    assert (applied.n_done, events) == (0, [])
    assert sorted((store / "runs").iterdir()) == runs


def test_steps_run_in_this_process_give_the_same_rows_as_in_workers(
    spec: Path, store: Path, tmp_path: Path
) -> None:
    apply(diff_of(spec, tmp_path / "workers"), tmp_path / "workers", jobs=2)
    assert all_rows(tmp_path / "workers") == all_rows(store)
    assert in_warehouse(tmp_path / "workers") == in_warehouse(store)


@pytest.mark.parametrize("in_process", [False, True])
def test_a_failed_step_stops_what_hangs_on_it_and_nothing_else(tmp_path: Path, in_process: bool) -> None:
    spec, store = write_study(tmp_path / "study", languages=("en", "fr", "es")), tmp_path / "store"
    planned = diff_of(spec, store)
    (tmp_path / "study" / "fr.jsonl").write_text("not what was planned\n", "utf-8")
    events: list[Event] = []
    applied = apply(planned, store, in_process=in_process, watch=events.append)
    assert (applied.n_done, applied.n_failed, applied.n_skipped) == (6, 1, 2)
    (failure,) = applied.failures
    assert failure.step_id.startswith("data-")
    assert failure.log.exists()
    assert "Traceback" in failure.log.read_text("utf-8")
    assert str(failure).startswith(f"{failure.step_id} failed after 0 s: ")
    assert "\n" not in failure.error
    assert {event.reason for event in events if isinstance(event, Skipped)} == {f"{failure.step_id} failed"}
    status = {
        run["step_id"]: (run["status"], run["error"]) for run in map(_read, (store / "runs").glob("*.json"))
    }
    assert status.pop(failure.step_id) == ("failed", failure.error)
    assert set(status.values()) == {("done", None)}


def test_a_failed_apply_is_finished_by_the_next_one(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"
    planned = diff_of(spec, store)
    moved = (tmp_path / "study" / "fr.jsonl").rename(tmp_path / "elsewhere")
    assert apply(planned, store, in_process=True).n_failed == 1
    moved.rename(tmp_path / "study" / "fr.jsonl")
    applied = apply(diff_of(spec, store), store, in_process=True)
    assert (applied.n_done, applied.n_failed) == (3, 0)
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute(
            "select status, count(*) from runs group by all order by all"
        ).fetchall() == [("done", 6), ("failed", 1)]


@pytest.mark.parametrize("kind", ["data", "generate", "judge"])
def test_deleting_a_step_reruns_exactly_it_and_what_hangs_on_it(spec: Path, store: Path, kind: str) -> None:
    before, loaded = all_rows(store), in_warehouse(store)
    plan = plan_of(spec)
    deleted = step_ids(plan, kind)[0]
    hanging = {step_id for step_id, step in plan.steps.items() if deleted in step.inputs}
    hanging |= {step_id for step_id, step in plan.steps.items() if hanging & set(step.inputs)}
    shutil.rmtree(store / "steps" / deleted)

    events: list[Event] = []
    applied = apply(diff_of(spec, store), store, watch=events.append, in_process=True)
    assert {event.step_id for event in events if isinstance(event, Started)} == {deleted, *hanging}
    assert applied.n_done == 1 + len(hanging)
    assert all_rows(store) == before
    assert in_warehouse(store) == loaded


def test_a_kill_between_a_step_and_what_is_made_again_after_it_leaves_no_stale_result(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", languages=("en",)), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    data, generate, judge = plan_of(spec).steps
    shutil.rmtree(store / "steps" / data)

    def stop(event: Event) -> None:
        if isinstance(event, Ended) and event.step_id == data:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(diff_of(spec, store), store, watch=stop, in_process=True)
    assert Store(store).done() == {data}
    assert diff_of(spec, store).todo == (generate, judge)


def test_a_finished_step_that_was_not_loaded_is_loaded_by_an_apply_that_runs_nothing(
    spec: Path, store: Path
) -> None:
    loaded = in_warehouse(store)
    (store / "warehouse.duckdb").unlink()
    assert apply(diff_of(spec, store), store, in_process=True).n_done == 0
    assert in_warehouse(store) == loaded


def test_what_was_finished_since_the_plan_was_made_is_not_run_again(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"
    planned = diff_of(spec, store)
    apply(planned, store, in_process=True)
    assert apply(planned, store, in_process=True).n_done == 0


def test_what_was_deleted_since_the_plan_was_made_is_run_again(spec: Path, store: Path) -> None:
    planned = diff_of(spec, store)
    shutil.rmtree(store / "steps" / step_ids(planned.plan, "generate")[0])
    assert apply(planned, store, in_process=True).n_done == 2


def test_a_target_leaves_the_other_steps_alone(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"
    plan = plan_of(spec)
    assert apply(diff(plan, (), ["generate"]), store, in_process=True).n_done == 4
    assert Store(store).done() == {*step_ids(plan, "data"), *step_ids(plan, "generate")}


def test_more_items_make_only_the_new_rows(tmp_path: Path) -> None:
    store = tmp_path / "store"
    apply(diff_of(write_study(tmp_path / "few", n_items=5), store), store, in_process=True)
    larger = write_study(tmp_path / "many", n_items=8)
    apply(diff_of(larger, store), store, in_process=True)
    for kind in ("generate", "judge"):
        outcomes = [
            _read(store / "steps" / step_id / "outcome.json") for step_id in step_ids(plan_of(larger), kind)
        ]
        assert [(outcome["n_rows"], outcome["n_reused"]) for outcome in outcomes] == [(8, 5), (8, 5)]


def _read(path: Path) -> dict[str, object]:
    return json.loads(path.read_text("utf-8"))


def on_cluster(planned: Diff, executor: Executor = "ray") -> Diff:
    return dataclasses.replace(
        planned, plan=dataclasses.replace(planned.plan, execution=Execution(executor=executor))
    )


def test_a_cluster_without_its_package_names_the_extra_and_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"
    with pytest.raises(
        XpError,
        match=r"`executor: ray` needs the package ray, here and on every node: pip install 'xp-lab\[ray\]'",
    ):
        apply(on_cluster(diff_of(spec, store)), store)
    assert not (store / "runs").exists()


def test_jobs_are_for_this_machine_where_in_process_is_too(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"
    for executor in ("ray", "slurm"):
        with pytest.raises(ArgumentError, match=f"with `executor: {executor}` the cluster decides what runs"):
            apply(on_cluster(diff_of(spec, store), executor), store, jobs=2)
    assert apply(on_cluster(diff_of(spec, store)), store, in_process=True).n_done == 6


@contextlib.contextmanager
def batch_model_of(store: Path) -> Iterator[subprocess.Popen[str]]:
    """A notebook, say, that has the warehouse open."""
    program = (
        f"import duckdb, sys; c = duckdb.connect({str(store / 'warehouse.duckdb')!r}, read_only=True);"
        " print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        if process.poll() is None:
            process.communicate("")


def test_steps_run_beside_an_open_warehouse_and_their_rows_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xp.attempts.PATIENCE_SECONDS", 0.1)
    store = tmp_path / "store"
    apply(diff_of(write_study(tmp_path / "few", n_items=5), store), store, in_process=True)
    spec = write_study(tmp_path / "many", n_items=8)
    with batch_model_of(store) as reader:
        applied = apply(diff_of(spec, store), store, in_process=True)
        (note,) = applied.notes
        assert (applied.n_done, applied.n_failed) == (6, 0)
        assert note.startswith("The rows of 6 new steps wait to be loaded: ")
        assert f"process {reader.pid} " in note
    applied = apply(diff_of(spec, store), store, in_process=True)
    assert (applied.n_done, applied.notes) == (0, ())
    assert len(in_warehouse(store)["completions"]) == 16


def test_rows_are_loaded_as_soon_as_the_warehouse_is_let_go(tmp_path: Path) -> None:
    store = tmp_path / "store"
    apply(diff_of(write_study(tmp_path / "few", n_items=5), store), store, in_process=True)
    spec = write_study(tmp_path / "many", n_items=8)
    with batch_model_of(store) as reader:

        def close(event: Event) -> None:
            if isinstance(event, Ended):
                reader.kill()

        assert apply(diff_of(spec, store), store, in_process=True, watch=close).notes == ()
    assert len(in_warehouse(store)["completions"]) == 16


def test_a_rebuild_beside_an_apply_is_refused_and_named(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study"), tmp_path / "store"

    def make_again(event: Event) -> None:
        with pytest.raises(StoreLocked, match="is in use: process"):
            rebuild(store)

    assert apply(diff_of(spec, store), store, in_process=True, watch=make_again).n_done == 6
    rebuild(store)
    assert len(in_warehouse(store)["completions"]) == 40


@pytest.mark.parametrize("kind", ["data", "generate", "judge"])
def test_a_damaged_step_alone_is_made_again_and_named(spec: Path, store: Path, kind: str) -> None:
    before, loaded = all_rows(store), in_warehouse(store)
    damaged = step_ids(plan_of(spec), kind)[0]
    file = store / "steps" / damaged / ROWS[kind]
    file.write_bytes(file.read_bytes().replace(b"q3", b"q9"))
    planned = diff_for(spec, None, None, store)
    assert (planned.todo, planned.why(damaged)) == (
        (damaged,),
        f"{ROWS[kind]} holds other bytes than it was written with",
    )
    applied = apply(planned, store, in_process=True)
    assert applied.n_done == 1
    (note,) = applied.notes
    assert note.startswith(f"{damaged} was damaged and is made again: {ROWS[kind]} holds other bytes")
    assert (store / "damaged" / damaged / ROWS[kind]).exists()
    assert all_rows(store) == before
    assert in_warehouse(store) == loaded


def test_a_target_leaves_alone_what_turns_out_to_be_made_from_other_rows(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", languages=("en",), n_items=5), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    (data,), (generate,) = (step_ids(plan_of(spec), kind) for kind in ("data", "generate"))
    outcome = read_record(store / "steps" / generate / "outcome.json", Outcome)
    write_json(
        store / "steps" / generate / "outcome.json",
        outcome.model_copy(update={"inputs": dict.fromkeys(outcome.inputs, "0" * 64)}),
    )
    file = store / "steps" / data / ROWS["data"]
    file.write_bytes(file.read_bytes().replace(b"q3", b"q9"))
    assert apply(diff_for(spec, None, ["data"], store), store, in_process=True).n_done == 1
    assert generate in diff_for(spec, None, None, store).faults


def test_what_was_made_from_other_rows_than_an_input_holds_now_is_made_again(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", languages=("en",), n_items=5), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    (generate,), (judge,) = (step_ids(plan_of(spec), kind) for kind in ("generate", "judge"))
    outcome = store / "steps" / judge / "outcome.json"
    recorded = _read(outcome)
    recorded["inputs"] = {generate: "0" * 64}
    outcome.write_text(json.dumps(recorded), "utf-8")
    planned = diff_for(spec, None, None, store)
    assert (planned.todo, planned.why(judge)) == (
        (judge,),
        f"its input {generate} was made again and holds other rows",
    )
    assert apply(planned, store, in_process=True).n_done == 1
    assert diff_for(spec, None, None, store).todo == ()


def test_broken_lines_in_what_an_attempt_or_another_step_left_block_nothing(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path / "study", languages=("en",), n_items=5), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    before = all_rows(store)
    (generate,) = step_ids(plan_of(spec), "generate")
    Store(store).reopen(generate)
    file = Store(store).unfinished_folder(generate) / "completions.jsonl"
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([lines[0], b"\0" * 100, b"[]", *lines[3:]]))
    assert apply(diff_of(spec, store), store, in_process=True).n_done == 2
    assert all_rows(store) == before
    assert _read(store / "steps" / generate / "outcome.json")["n_reused"] == 3


def test_rows_of_a_damaged_step_are_not_reused_by_another(tmp_path: Path) -> None:
    store = tmp_path / "store"
    few = write_study(tmp_path / "few", languages=("en",), n_items=5)
    apply(diff_of(few, store), store, in_process=True)
    (generate,) = step_ids(plan_of(few), "generate")
    file = store / "steps" / generate / "completions.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"text":"', b'"text":"not what was said '))
    many = write_study(tmp_path / "many", languages=("en",), n_items=8)
    apply(diff_of(many, store), store, in_process=True)
    (generate,) = step_ids(plan_of(many), "generate")
    assert _read(store / "steps" / generate / "outcome.json")["n_reused"] == 0


@pytest.mark.parametrize("kind", ["data", "generate", "judge"])
def test_a_finished_step_of_another_study_that_shares_an_id_by_chance_is_refused_before_anything_runs(
    tmp_path: Path, kind: str
) -> None:
    spec, store = write_study(tmp_path, languages=("en",), n_items=2), tmp_path / "store"
    apply(diff_of(spec, store), store, in_process=True)
    second = tmp_path / "second.yaml"
    second.write_text(spec.read_text().replace('"small"', '"second"'), "utf-8")
    (step_id,) = step_ids(plan_of(second), kind)
    folder, step = store / "steps" / step_id, plan_of(second).steps[step_id]
    another = {
        "data": {"limit": 1},
        "generate": {"tuned": "sft-0000000000000000"},
        "judge": {"answers": "generate-0000000000000000"},
    }[kind]
    write_json(folder / "step.json", step.model_copy(update=another))
    outcome = read_record(folder / "outcome.json", Outcome)
    write_json(folder / "outcome.json", outcome.model_copy(update={"files": describe(folder)}))

    for _ in range(2):
        with pytest.raises(StoreError, match=f"holds another step with the id {step_id}"):
            apply(diff_of(second, store), store, in_process=True)
    assert not (store / "experiments" / "second.json").exists()


def test_a_second_spec_of_one_experiments_name_is_warned_of_before_it_takes_the_firsts_place(
    tmp_path: Path,
) -> None:
    store, first, second = (
        tmp_path / "store",
        write_study(tmp_path / "one", n_items=3),
        write_study(tmp_path / "two", n_items=4),
    )
    apply(diff_for(first, None, None, store), store, in_process=True)
    assert diff_for(first, None, None, store).warnings == ()
    (warning,) = diff_for(second, None, None, store).warnings
    assert warning.startswith(
        f"the experiment `small` of this store is the study of {first}. Applying {second} takes its place"
    )
    assert unlike_applied(first, store) == ""
    apply(diff_for(second, None, None, store), store, in_process=True)
    assert unlike_applied(first, store).startswith(
        f"The experiment small was last applied from {second}, another study than {first}"
    )
    moved = first.rename(tmp_path / "one" / "moved.yaml")
    apply(diff_for(moved, None, None, store), store, in_process=True)
    assert unlike_applied(moved, store) == ""


def test_what_is_mended_in_a_checkpoint_is_reported_once_for_each_model_by_apply_and_by_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, spec, made = tmp_path / "store", write_study(tmp_path / "study", n_items=3), echo.Engine.__init__

    def mended(engine: echo.Engine, *arguments: Any) -> None:
        made(engine, *arguments)
        engine.facts["remedies"] = (
            "the chat template ends a turn with `<|eot_id|>`, which no setting names as an end: answers end"
            " there, too"
        )

    monkeypatch.setattr(echo.Engine, "__init__", mended)
    applied = apply(diff_for(spec, None, None, store), store, in_process=True)
    said = (
        "the chat template ends a turn with `<|eot_id|>`, which no setting names as an end: answers end"
        " there, too."
    )
    assert applied.notes == (f"echo: {said}",)
    (caveat,) = [
        reason
        for reason in summary(read_study(store / "warehouse.duckdb", "small")).reasons
        if said in reason
    ]
    assert caveat == f"Checkpoints were mended when they were loaded. `echo`: {said}"


def test_what_is_mended_in_the_checkpoint_of_a_judge_is_reported_under_the_judges_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, spec = tmp_path / "store", write_study(tmp_path / "study", n_items=3)
    study = json.loads(spec.read_text("utf-8"))
    study["judges"]["good"] = {"judge": "reward", "model": {"path": str(TINY)}}
    spec.write_text(json.dumps(study), "utf-8")

    def mended(answers: Iterable[Answer], settings: object, tools: Tools) -> Iterator[Verdict]:
        tools.facts["remedies"] = "token 3 pads instead"
        yield from (answer.scored("reward", 1.0) for answer in answers)

    monkeypatch.setattr(reward, "judge", mended)
    applied = apply(diff_for(spec, None, None, store), store, in_process=True)
    assert applied.notes == ("good: token 3 pads instead.",)
    assert (
        "Checkpoints were mended when they were loaded. `good`: token 3 pads instead."
        in summary(read_study(store / "warehouse.duckdb", "small")).reasons
    )


@pytest.mark.parametrize(
    ("old", "new", "is_changed"),
    [
        ('"max_new_tokens": 16', '"max_new_tokens": 2', True),
        ('"question"', '  "question"', False),
        ("it go on", "it stop", True),
    ],
)
def test_a_report_says_that_its_spec_was_changed_since_it_was_applied_in_each_of_its_files(
    tmp_path: Path, old: str, new: str, is_changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, spec = tmp_path / "store", write_study(tmp_path / "study", n_items=3)
    apply(diff_for(spec, ["decoding.top_p=0.9"], None, store), store, in_process=True)
    assert unlike_applied(spec, store) == ""
    spec.write_text(spec.read_text("utf-8").replace(old, new), "utf-8")
    said = f"{spec} was changed since it was applied: this report is of the study as it was then."
    assert unlike_applied(spec, store).startswith(said) is is_changed
    report = CliRunner().invoke(
        app, ["report", str(spec), "--store", str(store), "--out", str(tmp_path / "report.html")]
    )
    assert report.exit_code == 0
    assert (said in (tmp_path / "report.html").read_text("utf-8")) is is_changed
    assert (said in report.stderr) is is_changed
    monkeypatch.setattr("warehouse.report.pictures.write_pictures", lambda study, folder: None)
    paper = CliRunner().invoke(
        app,
        [
            "report",
            str(spec),
            "--format",
            "latex",
            "--store",
            str(store),
            "--out",
            str(tmp_path / "paper.tex"),
        ],
    )
    assert paper.exit_code == 0
    latex, markdown = (
        (tmp_path / f"paper.{kind}").read_text("utf-8").replace("\\_", "_") for kind in ("tex", "md")
    )
    assert (f"\n% {said}" in latex) is is_changed
    assert (f"\n\\noindent\\textbf{{{said}" in latex) is is_changed
    assert (f"\n- {said}" in markdown) is is_changed
