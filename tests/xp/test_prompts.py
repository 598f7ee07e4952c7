"""The prompt contract through the commands: `xp validate --prompts`, the start of an apply, and the plan."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dsl.errors import DataError, StoreError
from runners.models.loading import load_without_weights
from runners.prompting.tokens import CHAT_TEMPLATE
from tests.fixtures.tiny_study import TINY, WEIGHTS
from tests.runners.contract.test_rendering import vllm
from tests.runners.engines.fake_server import Running, chat, serving
from xp.apply import apply
from xp.cli import app
from xp.prompts import check_prompts
from xp.studies import diff_for

LONG = "why " * 900
OWN = "{{ bos_token }}" + CHAT_TEMPLATE.read_text("utf-8")
"""The template that the tiny model is trained with, for a server that adds no beginning by itself."""


def write_study(folder: Path, *, n_long: int = 1, is_tuned: bool = True) -> Path:
    """A study of the tiny model: five questions, of which some are longer than its context, and one method
    that is trained."""
    folder.mkdir(parents=True, exist_ok=True)
    questions = [json.loads(line) for line in (TINY / "questions_en.jsonl").read_text("utf-8").splitlines()][
        :5
    ]
    for row in questions[:n_long]:
        row["instruction"] += LONG
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), "utf-8")
    study = {
        "experiment": "prompts",
        "languages": ["en"],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": {
            "questions": {
                "rows": {"path": "questions.jsonl"},
                "columns": {"item": "item", "instruction": "instruction", "answers": "answers"},
            },
            "instructions": {
                "rows": {"path": str(TINY / "instructions_en.jsonl")},
                "columns": {"item": "item", "instruction": "instruction", "response": "response"},
            },
        },
        "evaluate": ["questions"],
        "methods": {
            "zero_shot": {"method": "icl", "num_fewshot": 0},
            "sft": {
                "method": "sft",
                "train": "instructions",
                "train_languages": "all",
                "training": {"max_steps": 1, "max_length": 256},
            },
        },
        "decoding": {"max_new_tokens": 4},
        "judges": {"correct": {"judge": "contains"}},
    }
    if not is_tuned:
        del study["methods"]["sft"]
    spec = folder / "prompts.yaml"
    spec.write_text(json.dumps(study), "utf-8")
    return spec


def test_validate_prompts_lists_findings_and_the_plan_then_shows_them_without_torch(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path), tmp_path / "store"
    store.mkdir()
    assert not diff_for(spec, None, None, store).warnings
    done = CliRunner().invoke(app, ["validate", str(spec), "--prompts", "--store", str(store)])
    assert done.exit_code == 0, done.output
    said = "1 of 5 prompts leave no room for an answer in the model's 1024 positions"
    assert f"warning: zero_shot tiny: questions en and 1 more: {said}" in done.stderr
    assert "prompts and training rows of 3 steps checked: 0 errors, 1 warning" in done.stdout
    program = (
        "import sys; from pathlib import Path; from xp.studies import diff_for;"
        f"print(diff_for(Path({str(spec)!r}), None, None, Path({str(store)!r})).warnings);"
        "print([name for name in ('torch', 'transformers', 'tokenizers') if name in sys.modules])"
    )
    planned = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said in planned.stdout.splitlines()[-2]
    assert planned.stdout.splitlines()[-1] == "[]"


def test_an_error_stops_an_apply_before_anything_is_made(tmp_path: Path) -> None:
    spec, store = write_study(tmp_path, n_long=5), tmp_path / "store"
    with pytest.raises(DataError, match="5 of 5 prompts leave no room"):
        apply(diff_for(spec, None, None, store), store, in_process=True)
    assert not (store / "steps").exists()
    assert any(
        "error: " in line and "5 of 5 prompts" in line for line in diff_for(spec, None, None, store).warnings
    )


def test_warnings_are_listed_at_the_end_of_an_apply_and_what_was_checked_is_not_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, store = write_study(tmp_path, is_tuned=False), tmp_path / "store"
    diff = diff_for(spec, None, None, store)
    applied = apply(diff, store, in_process=True)
    assert applied.n_failed == 0
    assert any("1 of 5 prompts leave no room" in note for note in applied.notes)
    monkeypatch.setattr("runners.contract.check.load_without_weights", None)
    again = check_prompts(diff.plan, diff.plan.steps, store, in_process=True)
    assert (again.n_checked, again.n_unread) == (1, 0)


def test_an_evaluated_item_in_the_training_rows_is_refused_before_the_prompts_are_read(
    tmp_path: Path,
) -> None:
    spec = write_study(tmp_path)
    study = json.loads(spec.read_text("utf-8"))
    study["data"]["questions"]["rows"]["path"] = str(TINY / "instructions_en.jsonl")
    del study["data"]["questions"]["columns"]["answers"]
    study["judges"] = {"empty": {"judge": "empty"}}
    spec.write_text(json.dumps(study), "utf-8")
    done = CliRunner().invoke(app, ["validate", str(spec), "--prompts", "--store", str(tmp_path / "store")])
    assert done.exit_code == 2
    assert "items of `questions` are among the rows of `instructions` that `sft` is trained on" in done.stderr


def test_a_check_that_fails_is_a_note_and_the_study_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **named: object) -> None:
        raise StoreError("the prompts could not be checked: no room")

    monkeypatch.setattr("runners.execution.prompt_contract.findings_of", fails)
    spec, store = write_study(tmp_path, n_long=0, is_tuned=False), tmp_path / "store"
    applied = apply(diff_for(spec, None, None, store), store, in_process=True)
    assert (applied.n_failed, applied.notes) == (0, ("the prompts could not be checked: no room.",))


def test_a_process_that_dies_while_it_checks_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, store = write_study(tmp_path, is_tuned=False), tmp_path / "store"
    plan = diff_for(spec, None, None, store).plan
    monkeypatch.setattr(
        "runners.execution.prompt_contract.environment", lambda settings: {"PYTHONHOME": "/nowhere"}
    )
    with pytest.raises(StoreError, match="the prompts could not be checked: "):
        check_prompts(plan, plan.steps, store)


def test_a_check_of_servers_that_fails_leaves_what_else_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no such address")

    monkeypatch.setattr("runners.contract.served.check_served", fails)
    spec, store = write_study(tmp_path, n_long=5, is_tuned=False), tmp_path / "store"
    plan = diff_for(spec, None, None, store).plan
    checked = check_prompts(plan, plan.steps, store, in_process=True, is_served=True)
    assert "5 of 5 prompts leave no room" in checked.errors[0]
    assert checked.warnings == ("the prompts of servers could not be checked: no such address",)


def served_beside(folder: Path, server: Running) -> Path:
    """The study of `write_study`, its model also on a server, and trained on chats."""
    spec = write_study(folder, n_long=0)
    study = json.loads(spec.read_text("utf-8"))
    study["models"]["served"] = {"instruct": {"engine": "openai", "name": str(TINY), "base_url": server.url}}
    study["methods"]["instruct"] = {"method": "instruct"}
    study["methods"]["sft"]["prompt"] = "chat"
    spec.write_text(json.dumps(study), "utf-8")
    return spec


def reading(template: str) -> Any:
    """The tiny model's tokenizer with a chat template."""
    tokenizer = load_without_weights(WEIGHTS, Path("unused")).tokenizer
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = template
    return tokenizer


def test_an_apply_stops_where_a_server_renders_a_chat_otherwise_than_training_here(tmp_path: Path) -> None:
    with serving(lambda asked: chat("?"), *vllm(reading(f"{OWN}\n<answer>"))) as server:
        diff = diff_for(served_beside(tmp_path, server), None, None, tmp_path / "store")
        with pytest.raises(DataError, match=r"reads the prompt of .* otherwise than") as caught:
            apply(diff, tmp_path / "store")
        assert server.asked == []
    assert str(caught.value).startswith("instruct served: ")
    assert "<answer>" in str(caught.value).partition(" on the server")[0]


def test_a_server_that_renders_as_before_is_not_compared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda asked: chat("?"), *vllm(reading(OWN))) as server:
        plan = diff_for(served_beside(tmp_path, server), None, None, tmp_path / "store").plan
        for _ in range(2):
            checked = check_prompts(plan, plan.steps, tmp_path / "store", in_process=True, is_served=True)
            assert (checked.errors, checked.warnings) == ((), ())
            monkeypatch.setattr("runners.contract.check.load_without_weights", None)
