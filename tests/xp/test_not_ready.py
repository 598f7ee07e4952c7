"""A plan says, without loading torch, which steps would fail after others were paid for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.tiny_study import TINY
from xp.studies import diff_for

ROOT = Path(__file__).resolve().parents[2]
SFT = {"method": "sft", "train": "told", "training": {"max_steps": 1}}
RUNNING = {"engine": "vllm", "base_url": "http://127.0.0.1:9"}


def planned(folder: Path, *, model: dict[str, Any] | None = None, **settings: Any) -> list[str]:
    """The lines on what is not ready, but for servers that do not answer."""
    rows = {
        "asked": {"instruction": "What is it?"},
        "told": {"instruction": "Why?", "response": "So."},
        "pairs": {"instruction": "Who?", "chosen": "He.", "rejected": "No."},
    }
    for name, row in rows.items():
        (folder / f"{name}.jsonl").write_text(json.dumps({"item": name, **row}) + "\n", "utf-8")
    columns = {"item": "item", "instruction": "instruction"}
    study = {
        "experiment": "lacking",
        "languages": ["en"],
        "models": {"m": {"base": {"path": str(TINY), **(model or {})}}},
        "data": {
            "asked": {"rows": {"path": "asked.jsonl"}, "columns": columns},
            "told": {"rows": {"path": "told.jsonl"}, "columns": {**columns, "response": "response"}},
            "pairs": {
                "rows": {"path": "pairs.jsonl"},
                "columns": {**columns, "chosen": "chosen", "rejected": "rejected"},
            },
        },
        "evaluate": ["asked"],
        "methods": {"s": SFT},
        "judges": {"empty": {"judge": "empty"}},
        **settings,
    }
    (folder / "study.yaml").write_text(json.dumps(study), "utf-8")
    reach = diff_for(folder / "study.yaml", None, None, folder / ".xp").reach
    return [line for line in reach if line.startswith("not ready: ") and "no server answers" not in line]


def tuned(**adapter: Any) -> dict[str, Any]:
    return {"methods": {"s": {**SFT, "adapter": adapter}}}


FOUR_BITS = tuned(quantization="nf4")
SERVED_ON_TWO = {"engine": "vllm", "args": {"tensor_parallel_size": 2}}


@pytest.mark.parametrize(
    ("gpus", "settings", "said"),
    [
        ("", FOUR_BITS, "`quantization: nf4` is for the memory of a GPU, and this machine has none"),
        ("0", {**FOUR_BITS, "executor": "slurm"}, "`quantization: nf4` is for the memory of a GPU"),
        (
            "0",
            {"resources": {"sft": {"num_gpus": 4}}},
            "`resources.sft.num_gpus` is 4, and this machine has 1",
        ),
        (
            "0",
            {"model": SERVED_ON_TWO},
            f"`args` share the server of {TINY} out to 2 GPUs, and this machine has 1",
        ),
        (
            "0,1,2,3",
            {
                "methods": {"s": {**SFT, "training": {"max_steps": 1, "per_device_train_batch_size": 3}}},
                "resources": {"sft": {"num_gpus": 4}},
            },
            "which 4 processes cannot share equally",
        ),
    ],
)
def test_a_plan_says_which_gpus_are_lacking_and_which_batches_cannot_be_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: str, settings: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("XP_VLLM", sys.executable)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert [said in line for line in planned(tmp_path, **settings)] == [True]


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (tuned(use_dora=True)["methods"], "a sft step gives DoRA"),
        (tuned(modules_to_save=["lm_head"])["methods"], "modules that are saved as a whole"),
        ({"s": {**SFT, "adapter": "none"}}, "a sft step gives all weights"),
        (
            {"s": SFT, "d": {"method": "dpo", "policy": "s", "pairs": "pairs", "training": {"max_steps": 1}}},
            "a dpo step gives an adapter on a trained model",
        ),
        (
            {"s": {**SFT, "adapter": {"use_dora": True}, "validation": {"rows": 0.5},
                   "vary": {"adapter.r": [2, 4]}}},
            "a sft step gives DoRA",
        ),
    ],
)  # fmt: skip
def test_a_plan_says_which_tuned_models_a_running_server_cannot_load(
    tmp_path: Path, methods: dict[str, Any], said: str
) -> None:
    assert [said in line for line in planned(tmp_path, model=RUNNING, methods=methods)] == [True]


@pytest.mark.parametrize(
    ("gpus", "settings"),
    [
        ("0,1", {"resources": {"sft": {"num_gpus": 2}}}),
        ("0", FOUR_BITS),
        ("", {**FOUR_BITS, "executor": "slurm", "resources": {"sft": {"num_gpus": 1}}}),
        ("0,1", {"model": SERVED_ON_TWO}),
        ("", {"model": RUNNING}),
    ],
)
def test_a_plan_that_lacks_nothing_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: str, settings: dict[str, Any]
) -> None:
    monkeypatch.setenv("XP_VLLM", sys.executable)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setattr("runners.models.quantized.find_spec", lambda name: True)
    assert planned(tmp_path, **settings) == []


def test_a_plan_of_a_training_in_four_bits_loads_no_torch(tmp_path: Path) -> None:
    planned(tmp_path, **FOUR_BITS)
    program = (
        "import sys; from pathlib import Path; from xp.studies import diff_for;"
        f"diff_for(Path({str(tmp_path / 'study.yaml')!r}), None, None, Path({str(tmp_path / '.xp')!r}));"
        "print(sorted({'torch', 'transformers', 'trl', 'peft'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
