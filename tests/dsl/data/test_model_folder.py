"""Folders of models with files that are cut short or missing."""

import json
import struct
from pathlib import Path

import pytest

from dsl.data.model_folder import check_model_folder
from dsl.errors import DataError


def safetensors(n_bytes: int = 16) -> bytes:
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [n_bytes // 4], "data_offsets": [0, n_bytes]}}
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(n_bytes)


WHOLE = safetensors()
GOOD = {"config.json": b"{}", "model.safetensors": WHOLE, "tokenizer.json": b"{}"}
TOKENIZER = json.dumps({"vocab": ["word"] * 200_000}).encode()

FAULTS: dict[str, tuple[dict[str, bytes | None], str]] = {
    "half of the weights": (
        {"model.safetensors": WHOLE[:-7]},
        f"model.safetensors: cut short: {len(WHOLE) - 7} of {len(WHOLE)} bytes. Copy or download it again",
    ),
    "half of a header": ({"model.safetensors": WHOLE[:20]}, "model.safetensors: cut short within its header"),
    "a few bytes": ({"model.safetensors": b"abc"}, "model.safetensors: cut short within its header: 3 bytes"),
    "two in one": (
        {"model.safetensors": WHOLE + b"x"},
        "model.safetensors: longer than its header",
    ),
    "a page": (
        {"model.safetensors": b"<html>" * 9},
        "model.safetensors: no safetensors",
    ),
    "a header of another kind": (
        {"model.safetensors": struct.pack("<Q", 9) + b'{"w": {}}'},
        "model.safetensors: no safetensors",
    ),
    "half of an adapter": (
        {"adapter_config.json": b"{}", "adapter_model.safetensors": WHOLE[:-1]},
        "adapter_model.safetensors: cut short",
    ),
    "a shard is missing": (
        {"model.safetensors.index.json": b'{"weight_map": {"w": "model-2.safetensors"}}'},
        "model.safetensors.index.json names `model-2.safetensors`: not in the folder",
    ),
    "half of a tokenizer": ({"tokenizer.json": TOKENIZER[:1_500_000]}, "tokenizer.json: cut short"),
    "half of a small tokenizer": ({"tokenizer.json": TOKENIZER[:500]}, r"tokenizer.json: no JSON \("),
    "a configuration that is no JSON": ({"config.json": b"model: tiny"}, r"config.json: no JSON \("),
    "an empty file": ({"generation_config.json": b""}, "generation_config.json: empty"),
    "pickled weights alone": (
        {"model.safetensors": None, "pytorch_model.bin": b"\x80\x04"},
        "pytorch_model.bin: pickled weights are not loaded",
    ),
}


def write(folder: Path, files: dict[str, bytes | None]) -> None:
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_loaded_is_named_with_what_to_do(fault: str, tmp_path: Path) -> None:
    changed, says = FAULTS[fault]
    write(tmp_path, {**GOOD, **changed})
    with pytest.raises(DataError, match=f"^{tmp_path}/{says}"):
        check_model_folder(tmp_path)


def test_a_whole_folder_is_valid_and_so_are_weights_of_which_others_may_be_read(tmp_path: Path) -> None:
    notes = {"trainer_state.json": b"", "notes.json": b"not read by any library"}
    write(tmp_path, {**GOOD, **notes, "tokenizer.json": TOKENIZER, "pytorch_model.bin": b"\x80"})
    check_model_folder(tmp_path)
    write(tmp_path, {"model.safetensors": WHOLE[:-1], "model.gguf": b"GGUF"})
    check_model_folder(tmp_path)
