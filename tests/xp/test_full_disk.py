"""Commands that write, on a disk that takes no file above a few kilobytes: each ends in one sentence with a
path and a cause, and leaves nothing half-written."""

import errno
import os
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dsl.data.written_files import scratch_folder, written_aside
from dsl.errors import OutputError
from tests.xp.commands import xp
from tests.xp.small_study import write_study


@contextmanager
def limited(n_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a length, which says `File too large` as a full disk says that
    there is no space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = compiles


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an applied study, its bundle, and samples of another tool."""
    folder = tmp_path_factory.mktemp("full")
    write_study(folder, languages=("en",), n_items=4)
    assert xp("apply", "small.yaml", "-y", cwd=folder).returncode == 0
    assert xp("bundle", "small.yaml", "b.zip", cwd=folder).returncode == 0
    assert xp("export", "small", "--format", "inspect", "-o", "logs", cwd=folder).returncode == 0
    return folder


COMMANDS = {
    "apply small.yaml -y --store new": 1024,
    "apply small.yaml -y --in-process --store new": 6000,
    "bundle small.yaml out.zip": 1024,
    "export small --format every-eval-ever -o out": 512,
    "export small --format inspect -o out": 512,
    "export small --format parquet -o out": 1024,
    "import inspect logs -o out": 256,
    "init new.yaml": 1024,
    "lock small.yaml": 256,
    "plan small.yaml --out out.json": 1024,
    "pull .xp --store new": 256,
    "rebuild": 1024,
    "rebuild --bundle b.zip --store new": 1024,
    "report small -o out.html": 1024,
    "report small --format latex -o out.tex": 256,
    "report small --format latex -o out.tex --store .xp": 4096,
    "sample small -o out.csv": 128,
    "verify": 1024,
    "verify b.zip": 1024,
}
"""Command -> largest length of a file."""


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing_half_written(
    command: str, studied: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(studied, folder)
    before = files_of(folder)
    with limited(COMMANDS[command]):
        found = xp(*command.split(), cwd=folder)
    assert found.returncode == 1, found
    (said,) = [line for line in found.stderr.splitlines() if not line.startswith("warning")]
    assert said.startswith("xp: ")
    assert "File too large" in said
    assert re.search(r"/|out|new|\.yaml", said)
    left = {name for name in files_of(folder) - before if not re.search("lock$|/cache/", name)}
    assert not {name for name in left if ".tmp" in name and "/steps/" not in name}
    if not re.search("apply|latex", command):
        assert not left


def test_a_warehouse_that_cannot_be_written_is_named_stays_and_is_loaded_by_the_next_apply(
    studied: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(studied, folder)
    command = ["apply", "small.yaml", "-y", "--in-process", "--set", "decoding.max_new_tokens=8"]
    with limited(12_000):
        found = xp(*command, cwd=folder)
    assert re.search(r"xp: .*/warehouse.duckdb.wal: cannot be written: File too large$", found.stderr.strip())
    assert not list(folder.glob(".xp/*.unreadable"))
    with limited(30_000):
        found = xp(*command, cwd=folder)
    assert found.returncode == 1
    assert "The report was not written: reports/small.html: File too large" in found.stdout
    assert xp(*command, cwd=folder).returncode == 0
    assert xp("verify", cwd=folder).returncode == 0


def test_a_folder_that_cannot_be_written_is_named_with_the_cause(studied: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in (
        "export small --format inspect -o {}/a",
        "report small -o {}/a.html",
        "sample small -o {}/a.csv",
    ):
        found = xp(*command.format(tmp_path / "file").split(), cwd=studied)
        assert found.returncode == 1, found
        assert found.stderr.startswith(f"xp: {tmp_path}/file")
        assert len(found.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(OSError, match="File too large") as raised, limited(100), written_aside(path) as aside:
        aside.write_text("x" * 200)
    assert raised.value.filename == str(path)
    assert [path] == list(tmp_path.iterdir())
    assert path.read_text() == "before"


def test_scratch_files_that_cannot_be_written_are_told_of_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        pytest.raises(OutputError, match=f"{tempfile.gettempdir()}: .*: File too large. TMPDIR"),
        limited(100),
        scratch_folder() as folder,
    ):
        (folder / "rows").write_text("x" * 200)
    assert not folder.exists()

    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", none)
    with pytest.raises(OutputError, match="No usable temporary directory"), scratch_folder():
        pass
    assert os.path.isdir("/")
