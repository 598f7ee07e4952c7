"""The whole road on a real model of 0.7M parameters: from a spec through prompting, tuning, aligning and
judging to a report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.xp import commands
from warehouse.connect import WAREHOUSE, connect
from warehouse.statements import fetch

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "fixtures" / "tiny"
PROMPT = {"prompt": {"file": str(TINY / "prompts_{language}.yaml")}}
TRAINING = {"max_steps": 6, "per_device_train_batch_size": 4, "learning_rate": 1.0e-3, "max_length": 128}
METHODS = {
    "zero_shot": {"method": "icl", "num_fewshot": 0, **PROMPT},
    "three": {"method": "icl", "num_fewshot": 3, **PROMPT},
    "three_en": {"method": "icl", "num_fewshot": 3, "demonstrations_language": "en", **PROMPT},
    "retrieved": {
        "method": "icl",
        "num_fewshot": 2,
        "demonstrations": {"from": "instructions", "select": "bm25"},
        **PROMPT,
    },
    "sft": {"method": "sft", "train": "instructions", "train_languages": "all", "training": TRAINING},
    "sft_en": {
        "method": "sft",
        "train": "instructions",
        "train_languages": ["en"],
        "rows": 12,
        "training": TRAINING,
    },
    "dpo_base": {
        "method": "dpo",
        "pairs": "preferences",
        "train_languages": "all",
        "loss_type": ["sigmoid", "sft"],
        "training": TRAINING,
    },
    "dpo_sft": {
        "method": "dpo",
        "policy": "sft",
        "pairs": "preferences",
        "train_languages": "all",
        "training": TRAINING,
    },
    "instruct": {"method": "instruct"},
}


def xp(*arguments: str, cwd: Path) -> str:
    done = commands.xp(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def asked(sql: str, cwd: Path) -> list[dict[str, Any]]:
    with connect(cwd / ".xp" / WAREHOUSE, read_only=True) as connection:
        return fetch(connection, sql)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study has been applied, by a process; later commands run in this one."""
    folder = tmp_path_factory.mktemp("road")
    columns = {
        "questions": ("item", "instruction", "answers"),
        "instructions": ("item", "instruction", "response"),
        "preferences": ("item", "instruction", "chosen", "rejected"),
    }
    spec = {
        "experiment": "road",
        "question": "Does the whole road run on a real model?",
        "languages": ["en", "fr", "es"],
        "models": {"tiny": {"base": {"path": str(TINY)}, "instruct": {"path": str(TINY)}}},
        "data": {
            name: {
                "rows": {"path": str(TINY / f"{name}_{{language}}.jsonl")},
                "columns": {column: column for column in has},
            }
            for name, has in columns.items()
        },
        "evaluate": ["questions"],
        "methods": METHODS,
        "decoding": {"max_new_tokens": 16},
        "judges": {
            name: {"judge": name} for name in ("contains", "language", "loop", "code", "empty", "length")
        },
        "contrasts": {"examples_help": {"of": "three", "against": "zero_shot"}},
    }
    (folder / "road.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "xp", "apply", "road.yaml", "--yes", "--no-report"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_every_method_has_an_answer_to_every_question_in_every_language(study: Path) -> None:
    found = asked(
        "select method, language, count(*) as n, count(text) as answered from completions group by all order"
        " by all",
        study,
    )
    assert found == [
        {"method": method, "language": language, "n": 20, "answered": 20}
        for method in sorted(METHODS)
        for language in ("en", "es", "fr")
    ]


def test_with_three_examples_the_model_answers_and_without_it_does_not(study: Path) -> None:
    score = {
        (row["method"], row["language"]): row["mean_score"]
        for row in asked(
            "select method, language, mean_score from score_by_method_language where measure = 'contains'",
            study,
        )
    }
    for language in ("en", "fr", "es"):
        assert score["three", language] >= 0.8
        assert score["zero_shot", language] <= 0.2


def test_the_contrast_says_that_examples_help_in_every_language(study: Path) -> None:
    sql = (
        "select language, ci_low > 0 as helps, n, n_lost from contrast_by_language_and_size where measure ="
        " 'contains' order by language"
    )
    assert asked(sql, study) == [
        {"language": language, "helps": True, "n": 20, "n_lost": 0} for language in ("en", "es", "fr")
    ]


def test_training_left_its_losses_and_dpo_begins_at_ln_2(study: Path) -> None:
    losses = asked(
        "select method, step_id, global_step, value from training_curve where name = 'loss' order by all",
        study,
    )
    assert {row["method"] for row in losses} == {"sft", "sft_en", "dpo_base", "dpo_sft"}
    first = {
        row["value"]
        for row in losses
        if str(row["step_id"]).startswith("dpo-") and row["method"] == "dpo_sft" and row["global_step"] == 1
    }
    assert [round(value, 3) for value in first] == [0.693]


def test_a_second_apply_runs_nothing(study: Path) -> None:
    assert xp("apply", "road.yaml", "--no-report", cwd=study).startswith("Nothing to run")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_training_step_that_is_deleted_is_named_with_what_hangs_on_it_and_gives_the_same_answers_again(
    study: Path,
) -> None:
    cells = json.loads(xp("plan", "road.yaml", "--json", cwd=study))["cells"]
    (sft,) = {cell["train"][0] for cell in cells if cell["method"] == "sft_en"}
    sql = "select item, language, raw_text from completions where method = 'sft_en' order by all"
    before = asked(sql, study)
    subprocess.run(["rm", "-r", str(study / ".xp" / "steps" / sft)], check=True)
    todo = json.loads(xp("plan", "road.yaml", "--json", cwd=study))["todo"]
    hanging = {
        step
        for cell in cells
        if sft in cell["train"]
        for step in (cell["generate"], *(judged["step"] for judged in cell["judges"].values()))
    }
    assert set(todo) == {sft, *hanging}
    xp("apply", "road.yaml", "--yes", "--no-report", "--in-process", cwd=study)
    assert asked(sql, study) == before


def test_the_report_names_the_answer_and_every_method(study: Path) -> None:
    page = (study / xp("report", "road.yaml", cwd=study).strip()).read_text("utf-8")
    assert "three (examples in the language asked) against zero_shot: " in page.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert all(method in page for method in METHODS)


def test_rebuild_gives_the_same_tables(study: Path) -> None:
    # sums over them may differ in the last digit
    tables = ("cells", "examples", "step_completions", "step_verdicts", "train_metrics")
    before = {table: asked(f"select * from {table} order by all", study) for table in tables}
    assert all(before.values())
    xp("rebuild", cwd=study)
    assert {table: asked(f"select * from {table} order by all", study) for table in tables} == before
