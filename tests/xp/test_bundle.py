"""A bundle: one file from which a study's numbers derive."""

import csv
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow.parquet as pq  # pyright: ignore[reportMissingTypeStubs]
import pytest
from typer.testing import CliRunner

from dsl.errors import ArgumentError, WarehouseError
from tests.warehouse.reported_study import write_study
from tests.warehouse.stores import storage_version
from warehouse.connect import WAREHOUSE, connect
from warehouse.report import write_report
from warehouse.report.reading import VIEWS
from xp.bundle import read_bundle, write_bundle
from xp.cli import app

parquet = cast(Any, pq)

PLACES = json.dumps(
    {
        "rows": {"path": "/home/ada/study/rows.jsonl", "hub": "/home/ada/sets/squad"},
        "model": {"path": "/home/ada/models/tiny", "base_url": "http://lab:8000/v1", "server": "lab:8000"},
    },
    indent=1,
)
ERROR = "/home/ada/study/rows.jsonl: no such file; http://lab:8000/v1 and lab:8000 refused 1/2 of 'em"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies in one warehouse; the first has trainings, probes, labels and a failed step."""
    store = tmp_path_factory.mktemp("studies") / ".xp"
    write_study(store, languages=("en", "fr"), models={"tiny": 1_000})
    write_study(store, "other", languages=("en",), models={"tiny": 1_000})
    return store


@pytest.fixture(scope="module")
def bundle(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bundles") / "hostile.zip"
    write_bundle(store / WAREHOUSE, "hostile", file)
    return file


def table(connection: duckdb.DuckDBPyConnection, view: str) -> list[list[str]]:
    """Rows of a view, errors of attempts left out, sorted: sums hang on their order in the last digit."""
    found = connection.execute(
        f"select columns(lambda name: name <> 'last_error') from {view} where experiment = 'hostile'"
    ).fetchall()
    return sorted([f"{cell:.9g}" if isinstance(cell, float) else repr(cell) for cell in row] for row in found)


def read_csv(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def as_text(name: str, content: bytes) -> str:
    """A file of a bundle, a table's rows as Python shows them."""
    if not name.endswith(".parquet"):
        return content.decode()
    rows: Any = parquet.read_table(io.BytesIO(content)).to_pylist()
    return "\n".join(
        f"{value!r}" if not isinstance(value, str) else value for row in rows for value in row.values()
    )


def test_the_tables_of_a_bundle_are_those_of_the_store(store: Path, bundle: Path, tmp_path: Path) -> None:
    assert read_bundle(bundle, tmp_path / "again") == "hostile"
    assert storage_version(tmp_path / "again" / WAREHOUSE) == storage_version(store / WAREHOUSE)
    compared = 0
    with (
        connect(store / WAREHOUSE, read_only=True) as packed,
        connect(tmp_path / "again" / WAREHOUSE, read_only=True) as read,
        zipfile.ZipFile(bundle) as file,
    ):
        for view in VIEWS:
            before = table(packed, view)
            assert table(read, view) == before, view
            assert len(read_csv(file.read(f"tables/{view}.csv"))) == 1 + len(before), view
            compared += len(before) > 0
        assert read.execute("select distinct experiment from cells").fetchall() == [("hostile",)]
    assert compared > 10, "else there is nothing to compare"
    write_report(tmp_path / "again" / WAREHOUSE, "hostile", tmp_path / "report.html", "")
    assert "hostile" in (tmp_path / "report.html").read_text("utf-8")


def test_any_duckdb_derives_the_numbers_from_a_bundle_s_rows(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as file:
        file.extractall(tmp_path)
    with duckdb.connect() as connection:
        connection.execute((tmp_path / "schema.sql").read_text("utf-8"))
        for rows in (tmp_path / "rows").iterdir():
            connection.execute(f"insert into {rows.stem} by name from '{rows}'")
        connection.execute((tmp_path / "views.sql").read_text("utf-8"))
        (n,) = connection.execute("select count(*) from score_by_cell").fetchall()[0]
    assert n > 0


def test_the_same_study_gives_the_same_bytes(store: Path, bundle: Path, tmp_path: Path) -> None:
    write_bundle(store / WAREHOUSE, "hostile", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_a_later_version_of_xp_derives_the_numbers_of_a_bundle_by_its_own_code(
    store: Path, tmp_path: Path
) -> None:
    again, written = tmp_path / "again.zip", tmp_path / "written.zip"
    write_bundle(store / WAREHOUSE, "hostile", written, with_adapters=False)
    read_bundle(written, tmp_path / "read")
    with duckdb.connect(str(tmp_path / "read" / WAREHOUSE)) as connection:
        connection.execute("update contrast_tests set ci_low_corrected = -9")  # as older code had it
        connection.execute("drop view score_by_cell")
    with pytest.raises(WarehouseError, match=r"holds no weights: copy that file\. Or .* `--no-adapters`"):
        write_bundle(tmp_path / "read" / WAREHOUSE, "hostile", again)
    write_bundle(tmp_path / "read" / WAREHOUSE, "hostile", again, with_adapters=False)
    assert again.read_bytes() == written.read_bytes()


def test_all_tables_of_a_bundle_are_of_one_moment(
    store: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def counted(path: Path, **how: Any) -> Any:
        opened.append(path)
        return connect(path, **how)

    for module in ("xp.bundle", "warehouse.query"):
        monkeypatch.setattr(f"{module}.connect", counted)
    write_bundle(store / WAREHOUSE, "hostile", tmp_path / "again.zip")
    assert opened == [store / WAREHOUSE]


def test_a_bundle_names_its_steps_and_their_code_and_no_folder_or_host(store: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(store, tmp_path / ".xp"))
    with connect(store / WAREHOUSE) as connection:
        connection.execute(
            "update steps set settings = json_merge_patch(settings, ?) where step_id like 'data-%'", [PLACES]
        )
        connection.execute(
            "update runs set error = ? where error is not null", ["/home/ada/My Drive/runs: none"]
        )
        connection.execute("update step_completions set error = ? where error is not null", [ERROR])
        connection.execute("update steps set settings = replace(settings::varchar, '\":', '\": ')::json")
    write_bundle(store / WAREHOUSE, "hostile", tmp_path / "placed.zip")
    with zipfile.ZipFile(tmp_path / "placed.zip") as file:
        lock = json.loads(file.read("lock.json"))
        whole = "".join(as_text(name, file.read(name)) for name in file.namelist() if name != "spec.yaml")
    with connect(store / WAREHOUSE, read_only=True) as connection:
        steps = connection.execute(
            "select step_id from steps join experiment_steps using (step_id) where experiment = 'hostile'"
        ).fetchall()
        hosts = connection.execute("select distinct host from runs where host <> ''").fetchall()
    assert {(step,) for step in lock["steps"]} == set(steps)
    assert all({"code", "versions", "outcome_sha256"} == set(step) for step in lock["steps"].values())
    assert hosts
    assert not [host for (host,) in hosts if f"'{host}'" in whole]
    assert not [
        place
        for place in (str(store), "/home", "ada/", "My Drive", "lab:8000", "localhost")
        if place in whole
    ]
    assert all(kept in whole for kept in ("rows.jsonl: no such file", "1/2 of 'em", '"squad"', '"tiny"'))


def test_a_bundle_is_read_whatever_version_of_xp_comes_later(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse.migrate._digests", lambda: {"schema": "x", "views": "y", "computed": "z"})
    read_bundle(bundle, tmp_path / "later")
    with connect(tmp_path / "later" / WAREHOUSE, read_only=True) as connection:
        assert table(connection, "score_by_method_language")
    with pytest.raises(WarehouseError, match="it holds the bundled study hostile, as it was"):
        connect(tmp_path / "later" / WAREHOUSE)


def test_the_sql_of_a_bundle_reaches_no_other_file(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with zipfile.ZipFile(bundle) as file, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in file.namelist():
            more = f"create table s as from '{tmp_path}/secret.csv';" if name == "views.sql" else ""
            bad.writestr(name, file.read(name) + more.encode())
    with pytest.raises(WarehouseError, match="disabled"):
        read_bundle(tmp_path / "bad.zip", tmp_path / "bad")


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_what_is_no_bundle_is_refused_and_so_is_a_store_that_holds_something(
    content: bytes, store: Path, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArgumentError, match="no bundle of a study"):
        read_bundle(tmp_path / "a.zip", tmp_path / "new")
    with pytest.raises(ArgumentError, match="is not empty"):
        read_bundle(bundle, store)


def test_a_damaged_bundle_is_refused_by_name(bundle: Path, tmp_path: Path) -> None:
    whole = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as file:
        inside = file.getinfo("schema.sql")
        texts = {name: file.read(name) for name in file.namelist()}
    packed = whole.copy()
    at = inside.header_offset + 30 + len("schema.sql")
    packed[at : at + 8] = b"\xff" * 8
    encrypted = whole.copy()
    directory = encrypted.rindex(b"PK\x01\x02")
    encrypted[directory + 8] |= 1
    (tmp_path / "packed.zip").write_bytes(packed)
    (tmp_path / "encrypted.zip").write_bytes(encrypted)
    with zipfile.ZipFile(tmp_path / "latin.zip", "w") as latin:
        for name, text in (texts | {"views.sql": b"-- caf\xe9\n" + texts["views.sql"]}).items():
            latin.writestr(name, text)
    for name in ("packed", "encrypted", "latin"):
        with pytest.raises(ArgumentError, match=f"{name}.zip: no bundle of a study"):
            read_bundle(tmp_path / f"{name}.zip", tmp_path / "new")


def test_a_read_that_failed_or_was_killed_leaves_the_store_to_the_next(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as file, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in file.namelist():
            bad.writestr(name, b"no sql;" if name == "views.sql" else file.read(name))
    with pytest.raises(WarehouseError):
        read_bundle(tmp_path / "bad.zip", tmp_path / "new")
    assert not [*(tmp_path / "new").iterdir()]
    for name in (f"{WAREHOUSE}.new", f"{WAREHOUSE}.new.wal"):
        (tmp_path / "new" / name).write_bytes(b"half of one")
    assert read_bundle(bundle, tmp_path / "new") == "hostile"
    assert [path.name for path in (tmp_path / "new").iterdir()] == [WAREHOUSE]


def test_a_bundle_is_written_and_read_by_the_command_line(store: Path, tmp_path: Path) -> None:
    ask = CliRunner().invoke
    out = tmp_path / "b.zip"
    written = ask(app, ["bundle", "hostile", str(out), "--store", str(store)])
    assert (written.exit_code, written.output.count("rows")) == (0, 1), written.output
    again = ["--store", str(tmp_path / "new")]
    assert ask(app, ["rebuild", "--bundle", str(out), *again]).exit_code == 0
    assert ask(app, ["query", "from score_by_cell", *again]).exit_code == 0
    unknown = ask(app, ["bundle", "nothing", str(out), "--store", str(store)])
    assert (unknown.exit_code, "it holds: hostile, other" in unknown.output) == (1, True)
