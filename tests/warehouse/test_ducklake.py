"""A DuckLake in PostgreSQL holds, row for row, what the file holds, whoever writes and whoever is killed."""

import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dsl.data.warehouse_address import LAKE, WAREHOUSE, checked_address, warehouse_in
from dsl.errors import ArgumentError, WarehouseError
from tests.warehouse.reported_study import write_study
from tests.warehouse.stores import StoreMaker
from warehouse.compare import differences
from warehouse.connect import connect
from warehouse.ducklake import without_keys
from warehouse.errors import WarehouseHeld
from warehouse.load import load_store, rebuild
from warehouse.query import run
from warehouse.relations import schema_files
from warehouse.report import write_report


@pytest.mark.parametrize(
    "address",
    [
        "ducklake:postgres:dbname=xp host=db password=hunter2",
        "ducklake:postgres:postgresql://xp:hunter2@db/xp",
        "ducklake:postgres:dbname='xp' passfile=/hunter2",
        "ducklake:postgres:dbname=x');drop",
        "ducklake:postgres:",
        "ducklake:sqlite:xp.db",
        "postgres:dbname=xp",
    ],
)
def test_an_address_holds_no_password_and_an_odd_one_is_not_repeated(address: str) -> None:
    with pytest.raises(ArgumentError, match="PGPASSWORD") as refused:
        checked_address(address)
    assert "hunter2" not in str(refused.value)


def test_an_address_is_words_of_a_connection() -> None:
    assert (
        checked_address("ducklake:postgres:service=lab  dbname=xp")
        == "ducklake:postgres:service=lab dbname=xp"
    )


def test_an_address_that_somebody_wrote_into_the_file_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / LAKE).write_text("ducklake:postgres:dbname=xp password=hunter2")
    with pytest.raises(WarehouseError, match="xp rebuild --warehouse") as refused:
        connect(warehouse_in(tmp_path), read_only=True)
    assert "hunter2" not in str(refused.value)


@pytest.mark.skipif(find_spec("duckdb_extension_ducklake") is not None, reason="the extensions are here")
def test_without_the_extensions_the_remedy_is_named_and_the_warehouse_stays(maker: StoreMaker) -> None:
    maker.study()
    rebuild(maker.folder)
    with pytest.raises(WarehouseError, match=r"no extension ducklake .* pip install .xp-lab\[ducklake\]"):
        rebuild(maker.folder, "ducklake:postgres:dbname=xp")
    assert warehouse_in(maker.folder) == maker.folder / WAREHOUSE
    assert not list(maker.folder.glob(f"*{LAKE}"))
    with connect(warehouse_in(maker.folder), read_only=True) as connection:
        assert connection.execute("select experiment from experiments").fetchall() == [("trial",)]


def test_tables_without_keys_are_the_same_tables() -> None:
    def columns(with_keys: bool) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            for file in schema_files():
                text = file.read_text("utf-8")
                connection.execute(text if with_keys else without_keys(text))
            constraints = connection.execute("select constraint_type from duckdb_constraints()").fetchall()
            assert (("PRIMARY KEY",) in constraints) == with_keys
            return connection.execute(
                "select table_name, column_name, replace(data_type, 'HUGEINT', 'DECIMAL(38,0)') from"
                " duckdb_columns() order by all"
            ).fetchall()

    assert columns(with_keys=True) == columns(with_keys=False)


def test_a_rebuild_that_was_stopped_half_way_is_never_taken_for_whole(
    maker: StoreMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.cell(texts={"1": "a"})
    study, lake = maker.study(), maker.folder / LAKE
    lake.write_text("ducklake:postgres:dbname=xp")

    def opened(path: Path, *_: object) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()  # a file in the place of the DuckLake
        connection.execute(f"attach '{tmp_path / 'lake.duckdb'}' as lake; use lake")
        return connection

    def stop(*_: object) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("warehouse.connect.open_lake", opened)
    monkeypatch.setattr("warehouse.connect.swept", print)
    assert rebuild(maker.folder) == ()
    with monkeypatch.context() as patched:
        patched.setattr("warehouse.load.load_batches", stop)
        with pytest.raises(KeyboardInterrupt):
            rebuild(maker.folder)
    for read_only in (True, False):
        with pytest.raises(WarehouseError, match=r"stopped half way, .* `xp rebuild`"):
            connect(lake, read_only=read_only)
    with pytest.raises(WarehouseError, match="stopped half way"):
        load_store(maker.folder, study.step_ids, study)
    assert rebuild(maker.folder) == ()
    with connect(lake, read_only=True) as connection:
        assert connection.execute("select text from completions").fetchall() == [("a",)]


BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


def missing() -> str:
    """Return the reason why the tests below cannot run here; empty where they can."""
    try:
        extensions = {version(f"duckdb-extension-{name}") for name in ("ducklake", "postgres-scanner")}
    except PackageNotFoundError as error:
        return f"no package {error.name}: `make test-servers` installs it"
    if extensions != {duckdb.__version__}:
        return f"the extensions are for DuckDB {extensions}, and this is {duckdb.__version__}"
    return "" if BINARIES else "no PostgreSQL below /usr/lib/postgresql"


with_a_server = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def postgres() -> Iterator[Path]:
    """A PostgreSQL that listens in a folder alone, never as root."""
    folder = Path(tempfile.mkdtemp(prefix="xp-postgres-", dir="/tmp"))
    if os.geteuid() == 0:  # whom PostgreSQL refuses to run as
        shutil.chown(folder, "nobody")

    def run_as_nobody(program: str, *arguments: str) -> None:
        command = [str(BINARIES[-1] / program), "-D", str(folder / "data"), *arguments]
        user = "nobody" if os.geteuid() == 0 else None
        subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    run_as_nobody("initdb", "--username=xp", "--auth=trust", "--no-sync")
    listens = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run_as_nobody("pg_ctl", "--options", listens, "--log", str(folder / "log"), "--wait", "start")
    yield folder
    run_as_nobody("pg_ctl", "--mode=immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def address(postgres: Path, request: pytest.FixtureRequest) -> str:
    """An empty database's."""
    name = f"xp_{abs(hash(request.node.name)):x}"
    subprocess.run([BINARIES[-1] / "createdb", "-h", postgres, "-U", "xp", name], check=True)
    return f"ducklake:postgres:dbname={name} host={postgres} user=xp"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a rich study, its seeds larger than any number of 64 bits, in a file."""
    store = tmp_path_factory.mktemp("lake") / "store"
    write_study(store, models={"tiny": 135_000_000}, languages=("en", "fr"))
    for file in (store / "steps").glob("generate-*/completions.jsonl"):
        rows = [json.loads(line) for line in file.read_bytes().splitlines()]
        text = "".join(json.dumps({**row, "seed": 2**90 + n}) + "\n" for n, row in enumerate(rows))
        file.write_text(text, "utf-8")
    assert rebuild(store) == ()
    return store


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "store"))


Rows = dict[str, list[list[Any]]]


def rows_of(warehouse: Path, tables_alone: bool = False) -> Rows:
    """Every row of every table and view, in an order that the last digits of numbers do not decide."""
    with connect(warehouse, read_only=True) as connection:
        found = connection.execute(
            "select table_name from information_schema.tables where table_catalog = current_database()"
            " and (table_type = 'BASE TABLE' or not $1) order by all",
            [tables_alone],
        ).fetchall()
        return {
            name: sorted(map(list, connection.sql(f'from "{name}"').fetchall()), key=in_order)
            for (name,) in found
        }


def in_order(row: list[Any]) -> tuple[list[str], list[str]]:
    numbers = [value for value in row if isinstance(value, float)]
    others = [str(value) for value in row if not isinstance(value, float)]
    return others, [f"{number:.6g}" for number in numbers]


def are_alike(one: Any, other: Any) -> bool:
    """Return whether values are equal, but for the order in which numbers were added up."""
    match one, other:
        case float(), float():
            return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
        case list(), list():
            return len(one) == len(other) and all(map(are_alike, one, other))
        case dict(), dict():
            return one.keys() == other.keys() and all(are_alike(one[key], other[key]) for key in one)
        case _:
            return one == other


def unlike(one: Rows, other: Rows) -> list[str]:
    """The tables and views that one has and the other has not, or with other rows."""
    return [name for name in {**one, **other} if not are_alike(one.get(name), other.get(name))]


@pytest.mark.slow
@pytest.mark.other_tools
@with_a_server
def test_every_table_view_and_page_is_that_of_the_file_and_the_way_back_is_too(
    store: Path, address: str, tmp_path: Path
) -> None:
    in_file = rows_of(store / WAREHOUSE)
    assert in_file["step_completions"]
    write_report(store / WAREHOUSE, "hostile", tmp_path / "of_file.html")
    assert rebuild(store, address) == ()
    assert (warehouse_in(store).name, (store / WAREHOUSE).exists()) == (LAKE, False)
    assert unlike(rows_of(warehouse_in(store)), in_file) == []
    write_report(warehouse_in(store), "hostile", tmp_path / "of_lake.html")
    assert (tmp_path / "of_lake.html").read_bytes() == (tmp_path / "of_file.html").read_bytes()
    assert differences(store) == ()
    assert rebuild(store, "duckdb") == ()
    assert (warehouse_in(store).name, (store / LAKE).exists()) == (WAREHOUSE, False)


WRITER = """
import sys
sys.modules["__main__"].__file__ = "writer"  # or DuckDB takes it for a person at a prompt, and draws progress
from pathlib import Path
import warehouse.load.steps as steps
from warehouse.load import load_store

store, is_stuck, *step_ids = sys.argv[1:]
if is_stuck:  # after the rows of its steps, before the commit
    load = steps.run_file
    def run_file(connection, file, **parameters):
        load(connection, file, **parameters)
        if file.name == "generate.sql":
            print("rows written", flush=True)
            sys.stdin.read()
    steps.run_file = run_file
print(load_store(Path(store), step_ids, patience=600), flush=True)
"""


@pytest.mark.slow
@pytest.mark.other_tools
@with_a_server
def test_four_writers_of_the_same_steps_one_of_them_killed_lose_nothing_and_leave_nothing_twice(
    maker: StoreMaker, address: str
) -> None:
    for method in ("icl", "sft", "dpo", "urial"):
        maker.cell(method, texts={"1": method, "2": "b"}, scores={"contains": {"1": 1.0, "2": 0.0}})
    study, lake = maker.study(), maker.folder / LAKE
    rebuild(maker.folder)
    in_file = rows_of(maker.folder / WAREHOUSE, tables_alone=True)
    assert len(in_file["step_completions"]) == len(in_file["step_verdicts"]) == 8
    lake.write_text(address)  # of nothing yet

    def writer(n: int, is_stuck: str = "") -> subprocess.Popen[str]:
        mine = (*study.step_ids[n::4], *study.step_ids[(n + 1) % 4 :: 4])  # each step is two writers'
        command = [sys.executable, "-c", WRITER, str(maker.folder), is_stuck, *mine]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    killed = writer(0, "stuck")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "rows written\n"
    others = [writer(n) for n in (1, 2, 3)]
    with pytest.raises(WarehouseHeld, match=r"another process writes .*PostgreSQL: session \d+ of xp"):
        connect(lake, patience=0.0)
    with connect(lake, read_only=True) as reader:  # a reader waits for nobody
        assert reader.execute("select count(*) from step_completions").fetchall() == [(0,)]
    killed.kill()
    killed.communicate()
    assert [other.communicate()[0] for other in others] == ["()\n"] * 3
    assert load_store(maker.folder, study.step_ids, study) == ()
    assert unlike(rows_of(lake, tables_alone=True), in_file) == []


@pytest.mark.slow
@pytest.mark.other_tools
@with_a_server
def test_a_query_reads_rows_and_reaches_neither_files_nor_the_server(store: Path, address: str) -> None:
    rebuild(store, address)
    catalogue = "__ducklake_metadata_lake"
    outside = store / "outside.csv"
    outside.write_text("secret\n1\n")
    for sql in (
        "delete from step_completions",
        "drop view completions",
        "create table t as select 1",
        f"from '{outside}'",
        f"copy completions to '{outside}'",
        f"attach '{outside}' as other",
        f"from postgres_query('{catalogue}', 'drop table ducklake_table cascade')",
        f"from postgres_query('{catalogue}', 'select 1')",
        f"call postgres_execute('{catalogue}', 'delete from ducklake_table')",
        "from postgres_scan('host=localhost', 'public', 'ducklake_table')",
        f"delete from {catalogue}.ducklake_table",
        "from ducklake_expire_snapshots('lake', older_than => now())",
        "set enable_external_access = true",
    ):
        with pytest.raises(WarehouseError):
            run(warehouse_in(store), sql, "csv", io.BytesIO())
    assert outside.read_text() == "secret\n1\n"
    out = io.BytesIO()
    run(warehouse_in(store), "select count(*) as n from completions", "csv", out)
    assert out.getvalue() == b"n\n48\n"


@pytest.mark.slow
@pytest.mark.other_tools
@with_a_server
def test_a_catalogue_serves_one_store(address: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    assert rebuild(tmp_path / "one", address) == ()
    with connect(tmp_path / "one" / LAKE) as first:
        pass
    connect(tmp_path / "one" / LAKE, patience=0.0).close()  # its turn ended as it was closed
    del first
    with pytest.raises(WarehouseError, match="DATA_PATH"):
        rebuild(tmp_path / "other", address)
    assert list((tmp_path / "other").iterdir()) == []
