"""Machine of an estimate: a GPU as nvidia-smi reports it, else the processor and its measured speed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xp.estimates import machine as module
from xp.estimates.machine import GPUS, REACHED, REACHED_OF_PEAK, Speed, machine


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    module._gpu.cache_clear()
    yield
    module._gpu.cache_clear()


def reports(folder: Path, text: str, code: int = 0) -> str:
    """A folder for PATH, whose nvidia-smi prints this."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nprint({text!r})\nraise SystemExit({code})\n", "utf-8")
    program.chmod(0o755)
    return str(folder)


def test_a_gpu_has_its_own_memory_and_a_part_of_its_peaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", reports(tmp_path, "NVIDIA A100-SXM4-80GB, 81920"))
    found = machine()
    assert (found.name, found.device, found.memory_bytes) == ("NVIDIA A100-SXM4-80GB", "cuda", 81920 * 2**20)
    assert found.speed == Speed(*GPUS["A100"]).reached(REACHED_OF_PEAK)


@pytest.mark.parametrize(("text", "code"), [("", 0), ("no devices were found", 6), ("Unknown 9, 1", 0)])
def test_without_a_gpu_that_is_known_the_processor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int
) -> None:
    monkeypatch.setenv("PATH", reports(tmp_path, text, code))
    found = machine()
    assert found.device == "cpu"
    assert "CPU core" in found.name
    assert found.memory_bytes > 0


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
