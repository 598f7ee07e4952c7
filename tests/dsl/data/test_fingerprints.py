"""Fingerprints of the files a plan depends on: every file that a model can be made of counts."""

import shutil
from pathlib import Path

import pytest

from dsl.data.fingerprints import NEVER_READ, Fingerprints, model_files
from dsl.errors import DataError

READ = [
    *("model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "x.gguf"),
    *(
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ),
    *(
        "chat_template.jinja",
        "additional_chat_templates/default.jinja",
        "tokenizer.model",
        "spiece.model",
        "vocab.spm",
    ),
    *("vocab.txt", "merges.txt", "vocab.bpe", "qwen.tiktoken", "tekken.json", "dict.yaml"),
    *(
        "modeling_own.py",
        "own/layers.py",
        "custom_generate/generate.py",
        "sub/model.safetensors",
        "adapter_model.safetensors",
    ),
]
NOT_READ = [
    *("README.md", "LICENSE", "LICENSE.txt", ".gitattributes", ".git/config", ".cache/huggingface/x.json"),
    *(
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
        "model.onnx",
        "flax_model.msgpack",
        "tf_model.h5",
        "rust_model.ot",
    ),
    *(
        "checkpoint-50/model.safetensors",
        "checkpoint-50/optimizer.pt",
        "training_args.bin",
        "optimizer.pt",
        "x.tflite",
    ),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("name", READ)
def test_every_file_that_can_decide_what_a_model_says_counts_when_it_comes_changes_and_goes(
    folder: Path, name: str
) -> None:
    before = Fingerprints().folder(folder)
    kept = (folder / name).read_text() if (folder / name).exists() else None
    write(folder / name, "one")
    first = Fingerprints().folder(folder)
    write(folder / name, "two")
    assert len({before, first, Fingerprints().folder(folder)}) == 3
    if kept is None:
        (folder / name).unlink()
        assert Fingerprints().folder(folder) == before


@pytest.mark.parametrize("name", NOT_READ)
def test_what_is_never_read_does_not_count(folder: Path, name: str) -> None:
    before = Fingerprints().folder(folder)
    write(folder / name, "one")
    assert Fingerprints().folder(folder) == before


def test_every_entry_on_the_list_of_what_is_never_read_is_tried_above(folder: Path) -> None:
    for name in NOT_READ:
        write(folder / name, "x")
    assert [file.name for file in model_files(folder)] == ["config.json"]
    assert len(NEVER_READ) == 12, "a new entry is a claim that nothing reads such a file: try it above"


def test_the_name_of_a_file_counts_and_the_place_of_the_folder_does_not(folder: Path, tmp_path: Path) -> None:
    write(folder / "a.txt", "x")
    before = Fingerprints().folder(folder)
    assert Fingerprints().folder(Path(shutil.copytree(folder, tmp_path / "elsewhere"))) == before
    (folder / "a.txt").rename(folder / "b.txt")
    assert Fingerprints().folder(folder) != before


def test_a_folder_without_files_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no model files"):
        Fingerprints().folder(tmp_path)
