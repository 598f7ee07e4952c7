"""Machine of an estimate: a GPU as nvidia-smi reports it, else the processor and its measured speed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xp.estimates import machine as module
from xp.estimates.machine import GPUS, REACHED, REACHED_OF_PEAK, Speed, machine


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    module._gpu.cache_clear()
    yield
    module._gpu.cache_clear()


def reports(folder: Path, listed: str, queried: str = "", code: int = 0) -> str:
    """A folder for PATH, whose nvidia-smi prints the one with -L and the other when it is asked."""
    program = folder / "nvidia-smi"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nprint({listed!r} if '-L' in sys.argv else {queried!r})\n"
        f"raise SystemExit({code})\n",
        "utf-8",
    )
    program.chmod(0o755)
    return str(folder)


LISTED = "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-a1)\nGPU 1: NVIDIA GeForce RTX 4090 (UUID: GPU-b2)"
QUERIED = "0, GPU-a1, NVIDIA A100-SXM4-80GB, 81920\n1, GPU-b2, NVIDIA GeForce RTX 4090, 24564"


def test_a_gpu_has_its_own_memory_and_a_part_of_its_peaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", reports(tmp_path, LISTED, QUERIED))
    found = machine()
    assert (found.name, found.device, found.memory_bytes) == ("NVIDIA A100-SXM4-80GB", "cuda", 81920 * 2**20)
    assert found.speed == Speed(*GPUS["A100"]).reached(REACHED_OF_PEAK)
    assert found.is_known


@pytest.mark.parametrize("seen", ["1", "GPU-b", "GPU-b2,GPU-a1"])
def test_a_gpu_that_is_not_in_the_list_has_its_memory_and_the_slowest_ones_speed_as_a_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    monkeypatch.setenv("PATH", reports(tmp_path, LISTED, QUERIED))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    found = machine()
    assert (found.name, found.device) == ("NVIDIA GeForce RTX 4090", "cuda")
    assert (found.memory_bytes, found.is_known) == (24564 * 2**20, False)
    assert all(
        found.speed.flops <= one.flops and found.speed.bytes_per_second <= one.bytes_per_second
        for one in (Speed(*peaks).reached(REACHED_OF_PEAK) for peaks in GPUS.values())
    )


@pytest.mark.parametrize(
    ("listed", "queried", "code"), [("", "", 0), ("no devices were found", "", 6), (LISTED, "[N/A]", 0)]
)
def test_without_a_gpu_the_processor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, queried: str, code: int
) -> None:
    monkeypatch.setenv("PATH", reports(tmp_path, listed, queried, code))
    found = machine()
    assert found.device == "cpu"
    assert "CPU core" in found.name
    assert found.memory_bytes > 0


def test_a_gpu_that_this_process_may_not_see_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", reports(tmp_path, LISTED, QUERIED))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine().device == "cpu"


def test_the_speed_is_measured_once_for_a_store_and_again_on_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    first = machine(tmp_path).speed
    assert first.flops > 0
    assert first.bytes_per_second > 0
    file = tmp_path / "machine.json"
    mark, _ = json.loads(file.read_text())
    file.write_text(json.dumps([mark, {"flops": 10.0, "bytes_per_second": 20.0}]))
    assert machine(tmp_path).speed == Speed(10.0, 20.0).reached(REACHED)
    file.write_text(json.dumps([["another", *mark[1:]], {"flops": 10.0, "bytes_per_second": 20.0}]))
    assert machine(tmp_path).speed == first
    file.write_text("no JSON")
    assert machine(tmp_path).speed == first
