"""Results of other code are reused and flagged, or made again where a study asks for that."""

import json
from pathlib import Path

import duckdb
import pytest
import yaml

from dsl.plan.diff import Diff
from runners.store.store import Store
from tests.fixtures.tiny_study import TINY
from tests.xp.small_study import write_study
from warehouse.connect import connect
from xp.apply import apply
from xp.studies import diff_for


def asked(spec: Path, store: Path, reuse: str = "any") -> Diff:
    return diff_for(spec, [f"reuse={reuse}"], None, store)


def codes(store: Path) -> dict[str, int]:
    with connect(store / "warehouse.duckdb", read_only=True) as connection:
        return dict(connection.execute("select code, count(*) from step_completions group by all").fetchall())


def mixed(store: Path) -> list[tuple[str, str, int]]:
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute("select kind, made_by, n_codes from mixed_origins").fetchall()


@pytest.fixture
def made_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A study, and a store in which older code has made all of it."""
    spec, store = write_study(tmp_path / "study", languages=("en",), n_items=3), tmp_path / "store"
    with monkeypatch.context() as patched:
        for module in ("execution.attempt", "store.provenance"):
            patched.setattr(f"runners.{module}.fingerprint", lambda *modules: "of older code")
        apply(asked(spec, store), store, in_process=True)
    assert codes(store) == {"of older code": 3}
    return spec, store


def test_what_other_code_made_is_taken_and_a_mixture_is_flagged(made_before: tuple[Path, Path]) -> None:
    spec, store = made_before
    assert asked(spec, store).todo == ()
    assert mixed(store) == []
    write_study(spec.parent, languages=("en",), n_items=5)
    apply(asked(spec, store), store, in_process=True)
    # the older step's three, and the new one's three reused and two made
    assert sorted(codes(store).values()) == [2, 6]
    assert mixed(store) == [("generate", "echo", 2)]


def test_a_study_of_one_fingerprint_makes_again_what_other_code_made_and_then_nothing(
    made_before: tuple[Path, Path],
) -> None:
    spec, store = made_before
    again = asked(spec, store, "same_fingerprint")
    assert [step_id.split("-")[0] for step_id in again.todo] == ["generate", "judge"], (
        "its data are of its own code by their id"
    )
    apply(again, store, in_process=True)
    (code,) = codes(store)
    assert code != "of older code"
    assert asked(spec, store, "same_fingerprint").todo == ()
    assert asked(spec, store).todo == ()


def test_a_step_that_reused_rows_of_other_code_is_made_again_too(made_before: tuple[Path, Path]) -> None:
    spec, store = made_before
    write_study(spec.parent, languages=("en",), n_items=5)
    apply(asked(spec, store), store, in_process=True)
    again = asked(spec, store, "same_fingerprint")
    assert [step_id.split("-")[0] for step_id in again.todo] == ["generate", "judge"]
    apply(again, store, in_process=True)
    outcomes = [json.loads((Store(store).step_folder(s) / "outcome.json").read_text()) for s in again.todo]
    assert [
        (one["n_reused"], one["n_of_other_code"]) for one in outcomes if one["step_id"].startswith("generate")
    ] == [(0, 0)]
    assert asked(spec, store, "same_fingerprint").todo == ()


def test_an_attempt_of_this_code_is_gone_on_from_and_one_of_other_code_is_not(
    made_before: tuple[Path, Path],
) -> None:
    spec, store = made_before
    apply(asked(spec, store, "same_fingerprint"), store, in_process=True)
    (generate,) = [s for s in asked(spec, store).plan.steps if s.startswith("generate")]
    for code, n_reused in (("this", 3), ("other", 0)):
        Store(store).reopen(generate)
        rows = Store(store).unfinished_folder(generate) / "completions.jsonl"
        if code == "other":
            rows.write_text(rows.read_text().replace('"provenance":{"code":"', '"provenance":{"code":"0', 1))
        apply(asked(spec, store, "same_fingerprint"), store, in_process=True)
        outcome = json.loads((Store(store).step_folder(generate) / "outcome.json").read_text())
        assert outcome["n_reused"] == n_reused


def write_training(folder: Path) -> Path:
    """A study that trains four steps, with a checkpoint after two."""
    columns = {"item": "item", "instruction": "instruction"}
    study = {
        "experiment": "trained",
        "languages": ["en"],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": {
            "asked": {"rows": {"path": str(TINY / "questions_en.jsonl")}, "columns": columns, "limit": 2},
            "taught": {
                "rows": {"path": str(TINY / "instructions_en.jsonl")},
                "columns": {**columns, "response": "response"},
            },
        },
        "evaluate": ["asked"],
        "methods": {
            "sft": {
                "method": "sft",
                "train": "taught",
                "training": {
                    "max_steps": 4,
                    "save_steps": 2,
                    "per_device_train_batch_size": 2,
                    "max_length": 96,
                },
            }
        },
        "decoding": {"max_new_tokens": 4},
    }
    spec = folder / "trained.yaml"
    spec.write_text(yaml.safe_dump(study), "utf-8")
    return spec


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("begun_by", "reuse", "resumed_from_step", "is_own"),
    [
        ("this", "same_fingerprint", 2, True),
        ("other", "same_fingerprint", 0, True),
        ("other", "any", 2, False),
    ],
)
def test_an_interrupted_training_is_gone_on_from_unless_other_code_began_it_and_one_fingerprint_is_asked_for(
    begun_by: str,
    reuse: str,
    resumed_from_step: int,
    is_own: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, store = write_training(tmp_path), tmp_path / "store"

    def interrupted(*_: object) -> None:
        raise RuntimeError("interrupted")

    with monkeypatch.context() as patched:
        patched.setattr("runners.training.tune.save", interrupted)
        if begun_by == "other":
            patched.setattr("runners.training.trainer.fingerprint", lambda *modules: "of older code")
        assert apply(asked(spec, store), store, in_process=True).n_failed == 1
    assert apply(asked(spec, store, reuse), store, in_process=True).n_failed == 0
    (trained,) = (store / "steps").glob("sft-*")
    outcome = json.loads((trained / "outcome.json").read_text("utf-8"))
    assert outcome["facts"]["resumed_from_step"] == resumed_from_step
    assert (trained.name not in asked(spec, store, "same_fingerprint").todo) == is_own
    assert mixed(store) == ([] if is_own else [("sft", "sft", 2)])
