"""A study that chooses a setting on validation rows: planned, run, killed, and told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from runners.store.store import Store
from tests.xp.test_training_killed import TINY
from warehouse.connect import WAREHOUSE, connect
from warehouse.report import write_report
from warehouse.statements import fetch
from xp.apply import apply
from xp.render.status import status_as_text
from xp.render.steps import steps_as_text
from xp.studies import diff_for, status_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


def write_spec(folder: Path, **training: Any) -> Path:
    rows = {
        name: {
            "rows": {"path": str(TINY / f"{name}_en.jsonl")},
            "columns": {column: column for column in ("item", "instruction", *answers)},
        }
        for name, answers in (
            ("questions", ()),
            ("instructions", ("response",)),
            ("preferences", ("chosen", "rejected")),
        )
    }
    learnt = {"validation": {"rows": 0.2}, "adapter": {"r": 2}}
    study = {
        "experiment": "vary",
        "languages": ["en"],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": rows,
        "evaluate": ["questions"],
        "methods": {
            "sft": {
                "method": "sft",
                "train": "instructions",
                "training": {"max_steps": 3, "max_length": 96, **training},
                "vary": {"training.learning_rate": [1.0e-5, 1.0e-2]},
                **learnt,
            },
            "dpo": {
                "method": "dpo",
                "policy": "sft",
                "pairs": "preferences",
                "training": {
                    "max_steps": 2,
                    "max_length": 96,
                    "metric_for_best_model": "eval_rewards/accuracies",
                },
                "vary": {"beta": [0.1, 0.3]},
                **learnt,
            },
        },
        "decoding": {"max_new_tokens": 4},
    }
    path = folder / "vary.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    return path


def test_a_grid_is_trained_its_best_is_asked_and_the_choice_is_told_everywhere(tmp_path: Path) -> None:
    spec, store = write_spec(tmp_path), tmp_path / ".xp"
    found = diff_for(spec, None, None, store)
    text = steps_as_text(found)
    assert "sft tiny tuned on en seed 0 (training.learning_rate: 0.01)" in text
    assert "sft tiny tuned on en seed 0 (the best of 2)" in text
    assert "dpo tiny tuned on en seed 0 (beta: 0.3)" in text
    assert not apply(found, store, in_process=True).failures

    again = diff_for(spec, None, None, store)
    assert not again.todo
    line = "chosen: sft tiny tuned on en seed 0: training.learning_rate: 0.01, the best of 2 by eval_loss ("
    assert line in steps_as_text(again)
    assert line in status_as_text(status_of(store))
    with connect(store / WAREHOUSE, read_only=True) as connection:
        effort = {row["method"]: row for row in fetch(connection, "from tuning_effort")}
        (asked,) = fetch(
            connection,
            "select trial_id from tuning_trials where method = 'sft' and is_chosen",
        )
    assert [effort[name]["n_trainings"] for name in ("sft", "dpo")] == [2, 4]
    assert [effort[name]["n_optimiser_steps"] for name in ("sft", "dpo")] == [6, 10]
    chosen = next(
        folder
        for folder in (store / "steps").glob("select-*")
        if f'"{asked["trial_id"]}"' in (folder / "step.json").read_text("utf-8")
    )
    weights = "adapter/adapter_model.safetensors"
    trained = Store(store).step_folder(asked["trial_id"])
    assert (chosen / weights).read_bytes() == (trained / weights).read_bytes()
    write_report(store / WAREHOUSE, "vary", tmp_path / "report.html", "")
    assert "training.learning_rate: 0.01" in (tmp_path / "report.html").read_text("utf-8")

    more = diff_for(write_spec(tmp_path, weight_decay=0.1), None, None, store)
    assert {more.plan.steps[step].kind for step in more.todo} >= {"sft", "select"}
    assert more.plan.study.cells[0].generate in more.todo
