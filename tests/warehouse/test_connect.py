"""One writer at a time, and a file that always has this version's tables and views."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from dsl.errors import WarehouseError
from dsl.plan.study import ContrastPlan
from tests.warehouse.reported_study import write_study
from tests.warehouse.stores import StoreMaker, storage_version
from warehouse.connect import WAREHOUSE, connect, made_aside
from warehouse.load import load_store, rebuild
from warehouse.migrate import digests
from warehouse.query import run
from warehouse.relations import view_files
from warehouse.statements import HERE


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    program = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        if process.poll() is None:
            process.communicate("\n")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_warehouse_in_use_names_the_process(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / WAREHOUSE
    connect(path).close()
    with (
        held_by_another_process(path) as process,
        pytest.raises(WarehouseError, match=f"process {process.pid} "),
    ):
        connect(path, read_only=read_only, patience=0.1)


def test_a_warehouse_that_is_let_go_soon_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / WAREHOUSE
    connect(path).close()
    program = (
        f"import duckdb, time; c = duckdb.connect({str(path)!r}); print('open', flush=True); time.sleep(0.5)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        connect(path, read_only=True, patience=60).close()


def test_a_rebuild_waits_for_no_warehouse_in_use(maker: StoreMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.cell(texts={"1": "a"})
    maker.study()
    rebuild(maker.folder)
    path = maker.folder / WAREHOUSE
    before = path.stat().st_ino
    monkeypatch.setattr("warehouse.load.wait_until_free", lambda path: connect(path, patience=0.1))
    with (
        held_by_another_process(path) as process,
        pytest.raises(WarehouseError, match=f"process {process.pid} "),
    ):
        rebuild(maker.folder)
    assert path.stat().st_ino == before


def test_there_is_nothing_to_read_before_something_was_loaded(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"there is no warehouse yet. `xp apply` makes one"):
        connect(tmp_path / WAREHOUSE, read_only=True)


def test_a_new_file_has_every_table_and_view(tmp_path: Path) -> None:
    with connect(tmp_path / "new" / WAREHOUSE) as connection:
        found = {
            name
            for (name,) in connection.execute(
                "select view_name from duckdb_views() where not internal"
            ).fetchall()
        }
        assert found == {file.stem for file in view_files()}
        for name in found:
            assert connection.execute(f'from "{name}"').fetchall() == []


@pytest.mark.parametrize("read_only", [True, False])
def test_views_of_another_version_are_made_again_and_rows_stay(maker: StoreMaker, read_only: bool) -> None:
    maker.cell(texts={"1": "a"})
    maker.study()
    rebuild(maker.folder)
    path = maker.folder / WAREHOUSE
    with duckdb.connect(str(path)) as old:
        old.execute(
            "drop view score_by_cell; drop view completions; create view dropped_since as select 1; create"
            " view completions as select 2"
        )
        old.execute("update made_from set sha256 = 'older' where part = 'views'")
    with connect(path, read_only=read_only) as connection:
        found = {
            name
            for (name,) in connection.execute(
                "select view_name from duckdb_views() where not internal"
            ).fetchall()
        }
        assert found == {file.stem for file in view_files()}
        assert connection.execute("select text from completions").fetchall() == [("a",)]


@pytest.mark.parametrize("read_only", [True, False])
def test_what_another_version_computed_is_computed_again_before_anybody_reads_it(
    maker: StoreMaker, read_only: bool
) -> None:
    for method, k in (("icl", 2), ("sft", 3)):
        maker.cell(method, scores={"contains": {str(n): float(n % k > 0) for n in range(9)}})
    maker.study(contrasts=(ContrastPlan(name="icl_vs_sft", of="icl", against="sft"),))
    rebuild(maker.folder)
    path = maker.folder / WAREHOUSE
    computed = ("cell_scores", "contrast_tests")
    with connect(path, read_only=True) as connection:
        before = {table: connection.execute(f"from {table} order by all").fetchall() for table in computed}
    assert all(before.values())
    with duckdb.connect(str(path)) as old:
        for table in computed:
            old.execute(f"delete from {table}")
        old.execute("alter table cell_scores add column of_old integer")
        old.execute("update made_from set sha256 = 'older' where part = 'computed'")
    with connect(path, read_only=read_only) as connection:
        assert {
            table: connection.execute(f"from {table} order by all").fetchall() for table in computed
        } == before
        assert connection.execute("from stale_slices").fetchall() == []


def test_what_is_computed_hangs_on_every_file_that_decides_it() -> None:
    deciding = [
        file
        for file in HERE.rglob("*")
        if file.suffix in (".py", ".sql") and file.parent.name in ("statistics", "base", "tables")
    ]
    assert {
        "macros.sql",
        "comparisons.sql",
        "paired.py",
        "corrections.py",
        "verdicts.sql",
        "cell_scores.sql",
    } <= {f.name for f in deciding}
    for edited in deciding:
        after = digests(
            lambda file, edited=edited: file.read_text("utf-8") + ("-- more" if file == edited else "")
        )
        assert after["computed"] != digests()["computed"], edited


@pytest.mark.parametrize("read_only", [True, False])
def test_tables_of_another_version_ask_for_a_rebuild_which_helps(maker: StoreMaker, read_only: bool) -> None:
    maker.cell(texts={"1": "a"})
    maker.study()
    path = maker.folder / WAREHOUSE
    with duckdb.connect(str(path)) as other:
        other.execute("create table step_completions (text varchar)")
    with pytest.raises(WarehouseError, match="`xp rebuild` makes it again"):
        connect(path, read_only=read_only)
    rebuild(maker.folder)
    with connect(path, read_only=read_only) as connection:
        assert connection.execute("select text from completions").fetchall() == [("a",)]


def test_a_file_that_is_no_database_is_named_and_a_rebuild_replaces_it(maker: StoreMaker) -> None:
    maker.cell(texts={"1": "a"})
    maker.study()
    path = maker.folder / WAREHOUSE
    path.write_text("not a database" * 1000)
    with pytest.raises(WarehouseError, match="not a valid DuckDB database") as found:
        connect(path)
    assert str(found.value).startswith(str(path))
    rebuild(maker.folder)
    connect(path).close()


def test_changes_left_in_the_old_files_log_do_not_reach_the_rebuilt_one(maker: StoreMaker) -> None:
    maker.cell(texts={"1": "a"})
    maker.study()
    rebuild(maker.folder)
    path = maker.folder / WAREHOUSE
    program = f"""
import duckdb, os
c = duckdb.connect({str(path)!r}, config={{"wal_autocheckpoint": "1TB"}})
c.execute("delete from step_completions")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert path.with_name(path.name + ".wal").exists()
    path.write_text("no longer a database")  # or opening it would settle the log
    rebuild(maker.folder)
    with connect(path, read_only=True) as connection:
        assert connection.execute("select text from completions").fetchall() == [("a",)]


def test_the_file_answers_in_a_client_that_knows_nothing_of_xp(maker: StoreMaker) -> None:
    maker.cell(scores={"contains": {"1": 1.0, "2": 0.0}})
    maker.study()
    rebuild(maker.folder)
    with duckdb.connect() as client:
        client.execute(f"attach '{maker.folder / WAREHOUSE}' as results (read_only)")
        ((mean, low),) = client.execute("select mean_score, ci_low from results.score_by_cell").fetchall()
        assert (mean, round(low, 3)) == (0.5, 0.095)  # Wilson's for one of two


def test_a_new_file_is_of_the_format_that_the_release_before_reads_too(maker: StoreMaker) -> None:
    maker.study()
    rebuild(maker.folder)
    assert storage_version(maker.folder / WAREHOUSE) == 68  # of 1.5; 1.5.5 reads 64 to 68 and no other


READ_EVERY_VIEW = """
import json, sys
import duckdb
with duckdb.connect(sys.argv[1], read_only=True) as client:
    views = client.execute("select view_name from duckdb_views() where not internal order by all").fetchall()
    n_rows = {name: len(client.execute(f'from "{name}"').fetchall()) for (name,) in views}
print(json.dumps([duckdb.__version__, n_rows]))
"""


@pytest.mark.other_tools
def test_a_client_of_the_release_before_reads_every_view(tmp_path: Path) -> None:
    earlier = Path(".venv-ducklake").resolve()  # a release that is older than the pinned
    if not earlier.is_dir():
        pytest.skip("`make test-servers` installs it")
    warehouse = write_study(tmp_path / "store", models={"tiny": 135_000_000}, languages=("en",))

    def read(**environment: str) -> tuple[str, dict[str, int]]:
        command = [sys.executable, "-c", READ_EVERY_VIEW, str(warehouse)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return tuple(json.loads(done.stdout))

    here, there = read(), read(PYTHONPATH=str(earlier))
    assert (here[0], there[0]) == (duckdb.__version__, "1.5.5")
    assert here[1] == there[1]
    assert here[1]["items"] == 6


def test_a_file_of_a_later_format_is_used_as_it_is(maker: StoreMaker) -> None:
    path = maker.folder / WAREHOUSE
    path.parent.mkdir()
    duckdb.connect(str(path)).close()  # in the format of the installed release
    later = storage_version(path)
    maker.cell(texts={"1": "a"})
    study = maker.study()
    load_store(maker.folder, study.step_ids, study)
    assert storage_version(path) == later
    with connect(path, read_only=True) as connection:
        assert connection.execute("select text from completions").fetchall() == [("a",)]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_its_head(path: Path) -> None:
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])


def no_database(path: Path) -> None:
    path.write_text("no database", "utf-8")


def flipped_in_every_block(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[12288 + 1000 :: 4096] = bytes(255 - byte for byte in content[12288 + 1000 :: 4096])
    path.write_bytes(bytes(content))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [emptied, cut_in_half, without_its_head, no_database, flipped_in_every_block, a_folder]
)
def test_an_unreadable_warehouse_is_moved_aside_and_made_again_from_the_files(
    maker: StoreMaker, damage: Callable[[Path], None]
) -> None:
    maker.cell(texts={"1": "a"})
    maker.study()
    rebuild(maker.folder)
    path = maker.folder / WAREHOUSE
    path.with_name(f"{WAREHOUSE}.unreadable").write_text("moved aside before")
    damage(path)
    with pytest.raises(WarehouseError, match=r"`xp apply` on a spec or `xp rebuild` makes it again"):
        run(path, "from completions", "csv", io.BytesIO())
    (note,) = load_store(maker.folder, [])
    assert "made again from the store's files; the old one is" in note
    assert path.with_name(f"{WAREHOUSE}.unreadable").exists()
    with connect(path, read_only=True) as connection:
        assert connection.execute("select count(*) from completions").fetchall() == [(1,)]


def test_a_new_warehouse_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / WAREHOUSE
    with pytest.raises(WarehouseError), made_aside(path) as connection:
        connection.execute("no SQL")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f"{WAREHOUSE}.new").write_bytes(b"left by a kill")
    (tmp_path / f"{WAREHOUSE}.wal").write_bytes(b"left by a warehouse that was deleted")
    connect(path).close()
    path.unlink()
    for name in ("new", "wal"):
        (tmp_path / f"{WAREHOUSE}.{name}").mkdir()
    connect(path).close()
    assert [file.name for file in tmp_path.iterdir()] == [WAREHOUSE]
