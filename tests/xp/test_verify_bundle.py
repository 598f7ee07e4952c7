"""`xp verify BUNDLE` derives every table, statistic and figure again, and finds what does not follow."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq  # pyright: ignore[reportMissingTypeStubs]
import pytest
from typer.testing import CliRunner

from dsl.data.records import Outcome
from dsl.errors import ArgumentError, WarehouseError
from runners.store.digests import describe
from tests.warehouse.reported_study import write_study
from warehouse.connect import WAREHOUSE, connect
from warehouse.migrate import computed_tables
from warehouse.report.page import as_html
from warehouse.report.reading import VIEWS, read_study
from xp.bundle import read_bundle, write_bundle
from xp.cli import app
from xp.derived import as_parquet, as_text
from xp.verify_bundle import verify_bundle

parquet = cast(Any, pq)
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with trainings, of which one left an adapter, and with a lock beside its spec."""
    folder = tmp_path_factory.mktemp("packed")
    store = folder / ".xp"
    write_study(store, languages=("en", "fr"), models={"tiny": 1_000})
    with connect(store / WAREHOUSE) as connection:
        connection.execute("update experiments set spec_file = ?", [str(folder / "study.yaml")])
        (step_id,) = connection.execute("select min(step_id) from train_metrics").fetchall()[0]
    (folder / "study.yaml.lock").write_text("versions: {}\n")
    adapter = store / "steps" / step_id / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "/home/ada/models/tiny", "r": 4}'
    )
    outcome = Outcome.model_validate_json((adapter.parent / "outcome.json").read_bytes())
    described = outcome.model_copy(update={"files": describe(adapter.parent)})
    (adapter.parent / "outcome.json").write_text(described.model_dump_json())
    write_bundle(store / WAREHOUSE, "hostile", folder / "study.zip")
    return folder / "study.zip"


def files_of(bundle: Path) -> Files:
    with zipfile.ZipFile(bundle) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def repacked(bundle: Path, out: Path, change: Mapping[str, Callable[[bytes], bytes] | None]) -> Path:
    """Pack a bundle again with some of its files changed, or without them."""
    with zipfile.ZipFile(out, "w") as packed:
        for name, content in files_of(bundle).items():
            by = change.get(name, bytes)
            if by is not None:
                packed.writestr(name, by(content))
    return out


def without_last_row(packed: bytes) -> bytes:
    table: Any = parquet.read_table(io.BytesIO(packed))
    return as_parquet(table.slice(0, table.num_rows - 1))


def test_a_bundle_without_adapters_verifies_as_one_with_them(bundle: Path, tmp_path: Path) -> None:
    without = tmp_path / "without.zip"
    asked = ["bundle", "hostile", str(without), "--no-adapters", "--store", str(bundle.parent / ".xp")]
    assert CliRunner().invoke(app, asked).exit_code == 0
    left_out = set(files_of(bundle)) - set(files_of(without))
    assert {name.split("/")[0] for name in left_out} == {"adapters"}
    found = verify_bundle(without)
    assert (found.faults, found.n_adapters) == ((), 0)


def test_all_numbers_of_a_bundle_are_derived_again_to_the_bit(bundle: Path) -> None:
    found = verify_bundle(bundle)
    assert (found.faults, found.close, found.notes) == ((), (), ())
    assert found.n_equal == len(VIEWS) + len(computed_tables()) + 1
    assert found.n_adapters == 2


def test_a_bundle_holds_spec_lock_rows_numbers_report_and_adapters(bundle: Path) -> None:
    files = files_of(bundle)
    assert files["spec.lock"] == b"versions: {}\n"
    assert b"<!doctype html>" in files["report.html"][:100].lower()
    weights, config = sorted(name for name in files if name.startswith("adapters/"))[::-1]
    assert (files[weights], weights.rpartition("/")[2]) == (b"weights", "adapter_model.safetensors")
    assert json.loads(files[config]) == {"base_model_name_or_path": "tiny", "r": 4}
    assert json.loads(files["lock.json"])["adapters"][weights] == hashlib.sha256(b"weights").hexdigest()


def test_what_does_not_follow_from_the_rows_is_found_with_its_file_and_line(
    bundle: Path, tmp_path: Path
) -> None:
    name = "tables/score_by_method_language.csv"
    number = re.search(rb"0\.\d{6,}", files_of(bundle)[name])
    assert number is not None
    nearly = str(float(number[0]) + 2e-16).encode()
    weights = next(name for name in files_of(bundle) if name.endswith(".safetensors"))
    tampered = repacked(
        bundle,
        tmp_path / "tampered.zip",
        {
            name: lambda text: text.replace(number[0], nearly, 1),
            "tables/win_rate_by_method.csv": lambda text: text.replace(b"0.", b"9.", 1),
            "tables/cost_by_model.csv": None,
            "report.html": lambda text: text.replace(b"</h1>", b"!</h1>", 1),
            "rows/contrast_tests.parquet": without_last_row,
            weights: lambda _: b"others",
        },
    )
    found = verify_bundle(tampered)
    assert nearly != number[0]
    assert found.close == (name,)
    faults = {fault.partition(" ")[0]: fault for fault in found.faults}
    assert " is not what the rows give: line 2: found `" in faults["tables/win_rate_by_method.csv"]
    assert "9." in faults["tables/win_rate_by_method.csv"].partition("derived")[0]
    assert faults["tables/cost_by_model.csv"].endswith(" is missing")
    assert faults[weights].endswith(" is not the file that was packed")
    assert {"report.html", "rows/contrast_tests.parquet"} < faults.keys()
    said = CliRunner().invoke(app, ["verify", str(tampered)])
    assert (said.exit_code, f"{len(faults)} faults." in said.output) == (1, True)


@pytest.mark.parametrize(("off", "is_close"), [(1e-13, True), (1e-11, False)])
def test_numbers_of_another_build_are_equal_to_1e_12(
    bundle: Path, tmp_path: Path, off: float, is_close: bool
) -> None:
    name = "tables/score_by_method_language.csv"
    number = re.search(rb"0\.\d{6,}", files_of(bundle)[name])
    assert number is not None
    nearly = repr(float(number[0]) + off).encode()
    changed = {name: lambda text: text.replace(number[0], nearly, 1)}
    found = verify_bundle(repacked(bundle, tmp_path / "changed.zip", changed))
    assert found.close == ((name,) if is_close else ())
    assert [fault.partition(" ")[0] for fault in found.faults] == ([] if is_close else [name])
    assert found.n_equal == len(VIEWS) + len(computed_tables())


def test_sql_spec_and_lock_that_are_not_those_of_code_and_rows_are_found(
    bundle: Path, tmp_path: Path
) -> None:
    def other_code(lock: bytes) -> bytes:
        said = json.loads(lock)
        said["steps"][min(said["steps"])]["code"] = "x"
        return json.dumps(said | {"overrides": ["seed=1"]}).encode()

    doctored = repacked(
        bundle,
        tmp_path / "doctored.zip",
        {
            "views.sql": lambda text: text.replace(b"avg(", b"9 + avg("),
            "schema.sql": lambda text: text + b"create table more (a integer);",
            "spec.yaml": lambda text: text + b"\n",
            "lock.json": other_code,
        },
    )
    found = verify_bundle(doctored)
    assert [fault.split()[0] for fault in found.faults] == [
        "schema.sql",
        "views.sql",
        "spec.yaml",
        "lock.json",
        "lock.json",
    ]
    assert found.n_equal == len(VIEWS) + len(computed_tables()) + 1


@pytest.mark.parametrize(
    "lock", [b"[]", b"{}", b'{"experiment": "a", "steps": []}', b'{"experiment": "a\'b", "steps": {}}']
)
def test_a_lock_of_another_shape_is_an_error_of_the_arguments(
    lock: bytes, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match="no bundle of a study"):
        verify_bundle(repacked(bundle, tmp_path / "bad.zip", {"lock.json": lambda _: lock}))


@pytest.mark.parametrize("made_by", [None, {}])
def test_a_lock_of_a_study_that_the_rows_do_not_hold_is_an_error(
    made_by: object, bundle: Path, tmp_path: Path
) -> None:
    def renamed(lock: bytes) -> bytes:
        said = json.loads(lock) | {"experiment": "another"}
        return json.dumps(said if made_by is None else said | {"made_by": made_by}).encode()

    with pytest.raises(WarehouseError, match="another"):
        verify_bundle(repacked(bundle, tmp_path / "renamed.zip", {"lock.json": renamed}))


def test_a_bundle_that_does_not_fit_into_memory_is_refused_unread(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xp.bundle.half_of_memory", lambda: 1_000)
    with pytest.raises(ArgumentError, match="this machine can read 1,000"):
        verify_bundle(bundle)


def test_of_a_bundle_of_other_code_the_numbers_are_derived_by_its_own_sql(
    bundle: Path, tmp_path: Path
) -> None:
    def older(lock: bytes) -> bytes:
        return json.dumps(json.loads(lock) | {"made_by": {"computed": "x"}}).encode()

    found = verify_bundle(repacked(bundle, tmp_path / "older.zip", {"lock.json": older}))
    assert (found.faults, found.n_equal) == ((), len(VIEWS))
    assert found.notes == (
        "report.html was written by another version of xp: not compared",
        "statistics are those of another version of xp: taken as they stand",
        "tables of numbers are derived by the bundle's own SQL, whatever it says",
    )


def test_a_bundle_that_was_packed_before_a_view_was_made_verifies_and_has_its_report(
    bundle: Path, tmp_path: Path
) -> None:
    def earlier(views: bytes) -> bytes:
        return re.sub(rb'create view "saved_by_stopping" as .*?;\n', b"", views, flags=re.DOTALL)

    def older(lock: bytes) -> bytes:
        return json.dumps(json.loads(lock) | {"made_by": {"views": "x"}}).encode()

    changes = {"views.sql": earlier, "lock.json": older, "tables/saved_by_stopping.csv": None}
    packed = repacked(bundle, tmp_path / "older.zip", changes)
    found = verify_bundle(packed)
    assert (found.faults, found.n_equal) == ((), len(VIEWS) - 1)
    read_bundle(packed, tmp_path / "store")
    assert "hostile" in as_html(read_study(tmp_path / "store" / WAREHOUSE, "hostile"))


def test_numbers_of_a_table_are_compared_as_they_are(bundle: Path, tmp_path: Path) -> None:
    text = as_text(files_of(bundle)["rows/contrast_tests.parquet"], tmp_path)
    assert text.splitlines()[0].startswith(b"experiment,")


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_what_is_no_bundle_is_an_error_of_the_arguments(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    said = CliRunner().invoke(app, ["verify", str(tmp_path / "a.zip")])
    assert (said.exit_code, "no bundle of a study" in said.output) == (2, True)
