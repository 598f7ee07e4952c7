"""Training that is killed with -9 goes on from its last whole checkpoint, to the weights of a run that was
never killed."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.xp.commands import xp

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "fixtures" / "tiny"


def write_study(folder: Path) -> Path:
    study = {
        "experiment": "killed",
        "languages": ["en"],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": {
            "questions": {
                "rows": {"path": str(TINY / "questions_en.jsonl")},
                "columns": {"item": "item", "instruction": "instruction"},
                "limit": 1,
            },
            "instructions": {
                "rows": {"path": str(TINY / "instructions_en.jsonl")},
                "columns": {"item": "item", "instruction": "instruction", "response": "response"},
            },
        },
        "evaluate": ["questions"],
        "methods": {
            "sft": {
                "method": "sft",
                "train": "instructions",
                "training": {
                    "max_steps": 30,
                    "save_steps": 5,
                    "per_device_train_batch_size": 4,
                    "learning_rate": 1.0e-3,
                    "max_length": 96,
                },
            }
        },
        "decoding": {"max_new_tokens": 8},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "killed.yaml").write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    return folder


def go_on(folder: Path) -> None:
    """Apply to the end where nothing kills, in the tests' own process: what is killed is another."""
    done = xp("apply", "killed.yaml", "--yes", "--no-report", "--in-process", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "xp", "apply", "killed.yaml", "--yes", "--no-report"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def the_step(folder: Path) -> Path:
    (found,) = (folder / ".xp" / "steps").glob("sft-*")
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_training_that_is_killed_goes_on_from_its_last_checkpoint_to_the_same_losses_and_weights(
    tmp_path: Path,
) -> None:
    undisturbed, killed = write_study(tmp_path / "undisturbed"), write_study(tmp_path / "killed")
    go_on(undisturbed)
    # the same prompts need no second check
    shutil.copytree(undisturbed / ".xp" / "cache", killed / ".xp" / "cache")

    run = start(killed)
    while not list((killed / ".xp" / "steps").glob("sft-*.tmp/trainer/checkpoint-*/whole")):
        assert run.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    # the workers are told the store's place
    subprocess.run(["pkill", "-9", "-f", str(killed / ".xp")], check=False)
    run.kill()
    run.communicate()
    assert the_step(killed).name.endswith(".tmp")

    go_on(killed)
    facts = json.loads((the_step(killed) / "outcome.json").read_text("utf-8"))["facts"]
    assert facts["resumed_from_step"] >= 5
    assert losses(killed) == losses(undisturbed)
    weights = [
        (the_step(folder) / "adapter" / "adapter_model.safetensors").read_bytes()
        for folder in (killed, undisturbed)
    ]
    assert weights[0] == weights[1]


def losses(folder: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (the_step(folder) / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [(row["global_step"], row["value"]) for row in rows if row["name"] == "loss"]
