"""`xp verify --remake` makes a random share of a model's rows again, and compares them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dsl.errors import ArgumentError
from dsl.steps.steps import Step
from runners.store.digests import describe
from tests.xp.small_study import plan_of, step_ids, write_study
from xp import load
from xp.cli import app
from xp.remake import remake


@pytest.fixture
def store(tmp_path: Path) -> Path:
    load(write_study(tmp_path / "study", n_items=10), store=tmp_path / "store").apply(
        in_process=True, report=False
    )
    return tmp_path / "store"


def replace_answers(store: Path, spec: Path, text: str) -> str:
    """Give the answers of one step another text, with digests that agree; its id."""
    folder = store / "steps" / step_ids(plan_of(spec), "generate")[0]
    path = folder / "completions.jsonl"
    rows = [json.loads(line) | {"text": text} for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    outcome = json.loads((folder / "outcome.json").read_text("utf-8"))
    outcome["files"] = {name: file.model_dump() for name, file in describe(folder).items()}
    (folder / "outcome.json").write_text(json.dumps(outcome), "utf-8")
    return folder.name


def test_a_share_of_the_rows_of_models_is_made_again_and_is_the_same(store: Path) -> None:
    found = remake(store, 0.25, seed=1)
    assert (found.n_rows, found.n_all, found.n_passed_over, found.faults) == (5, 20, 0, ())
    assert not list(store.glob("steps/*.tmp"))


def test_every_row_that_comes_out_otherwise_is_named_with_both_texts(store: Path, tmp_path: Path) -> None:
    step_id = replace_answers(store, tmp_path / "study" / "small.yaml", "forged")
    found = remake(store, 1.0, seed=0, only={step_id: None})
    assert (found.n_rows, found.n_all) == (10, 10)
    assert sorted(fault.split(": ")[1] for fault in found.faults) == [f"q{n}" for n in range(10)]
    assert all(
        fault.startswith(f"{step_id}: q") and "text was `forged`, is `" in fault for fault in found.faults
    )


def test_the_seed_alone_decides_which_rows_are_drawn(store: Path, tmp_path: Path) -> None:
    step_id = replace_answers(store, tmp_path / "study" / "small.yaml", "forged")
    drawn = [remake(store, 0.3, seed, only={step_id: None}).faults for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 3


SERVED = {"engine": "openai", "name": "m", "base_url": "http://evil.example/v1"}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (SERVED, "calls http://evil.example"),
        (
            {**SERVED, "api_key_env": "XP_TEST_KEY"},
            "calls http://evil.example and sends it XP_TEST_KEY",
        ),
        (
            {"engine": "transformers", "path": "evil", "trust_remote_code": True},
            "runs code that comes with evil",
        ),
    ],
)
def test_steps_of_other_code_are_passed_over_and_nobody_is_asked_and_no_code_run_unallowed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: dict[str, object], told: str
) -> None:
    spec = tmp_path / "study" / "small.yaml"
    step_id = step_ids(plan_of(spec), "generate")[0]
    path = store / "steps" / step_id / "step.json"
    step = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(step | {"model": model}), "utf-8")
    outcome = json.loads((path.parent / "outcome.json").read_text("utf-8"))
    outcome["files"] = {name: file.model_dump() for name, file in describe(path.parent).items()}
    (path.parent / "outcome.json").write_text(json.dumps(outcome), "utf-8")
    assert remake(store, 1.0, seed=0).n_passed_over == 1, "its settings are not those of its id"

    def same(step: Step) -> str:
        return step_id

    monkeypatch.setattr("dsl.steps.identity.step_id", same)
    with pytest.raises(ArgumentError, match=f"{told}.*--allow-env"):
        remake(store, 1.0, seed=0, only={step_id: None})


def test_the_command_says_how_many_rows_came_out_the_same(store: Path, tmp_path: Path) -> None:
    ask = CliRunner().invoke
    said = ask(app, ["verify", "--remake", "10%", "--store", str(store)])
    assert (said.exit_code, said.output.splitlines()[-1]) == (
        0,
        "2 of 20 rows of models made again (seed 0): 0 faults.",
    )
    replace_answers(store, tmp_path / "study" / "small.yaml", "forged")
    assert ask(app, ["verify", "--remake", "1", "--store", str(store)]).exit_code == 1
    for share in ("0", "101%", "x", "nan"):
        assert ask(app, ["verify", "--remake", share, "--store", str(store)]).exit_code == 2
