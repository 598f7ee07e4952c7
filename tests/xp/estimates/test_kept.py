"""Estimates that an apply keeps, and `xp status` beside them."""

import json
from pathlib import Path

import pytest

from dsl.errors import ArgumentError
from xp.api import Study
from xp.estimates.kept import beside_actual, total
from xp.render.status import status_as_json, status_as_text
from xp.studies import status_of


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    rows = [{"id": f"q{i}", "ask": "Why?"} for i in range(4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    study = {
        "experiment": "small",
        "languages": ["en"],
        "models": {"m": {"base": {"engine": "echo"}}},
        "data": {"asked": {"rows": {"path": "rows.jsonl"}, "columns": {"item": "id", "instruction": "ask"}}},
        "evaluate": ["asked"],
        "methods": {"zero": {"method": "icl", "num_fewshot": 0}},
        "judges": {"empty": {"judge": "empty"}},
    }
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(study), "utf-8")
    return path


def test_status_sets_the_estimate_beside_what_the_steps_took(spec: Path) -> None:
    study = Study(spec, spec.parent / "store")
    assert all(one.beside is None for one in status_of(study.store).studies)
    estimated = study.plan().estimates.total()
    study.apply(in_process=True, report=False)
    (one,) = status_of(study.store).studies
    assert one.beside is not None
    assert one.beside.n_steps == 3
    assert total(one.beside.estimated).seconds == pytest.approx(estimated.seconds)
    outcomes = [json.loads(file.read_text()) for file in study.store.glob("steps/*/outcome.json")]
    assert total(one.beside.actual).seconds == pytest.approx(sum(found["seconds"] for found in outcomes))
    assert "3 estimated steps took" in status_as_text(status_of(study.store))
    (told,) = json.loads(status_as_json(status_of(study.store)))["studies"]
    assert told["estimates"]["n_steps"] == 3


def test_a_later_apply_keeps_the_estimates_of_the_steps_that_were_done_before(spec: Path) -> None:
    study = Study(spec, spec.parent / "store")
    study.apply(study.plan(["data"]), in_process=True, report=False)
    found = beside_actual(study.plan().diff.plan.study, study.store)
    assert found is not None
    assert found.actual.keys() == {"data"}
    study.apply(in_process=True, report=False)
    found = beside_actual(study.plan().diff.plan.study, study.store)
    assert found is not None
    assert found.actual.keys() == {"data", "generate", "judge"}
    study.apply(in_process=True, report=False)  # with nothing to run
    assert beside_actual(study.plan().diff.plan.study, study.store) == found


def test_weights_that_do_not_fit_alone_are_refused_before_anything_runs(spec: Path) -> None:
    written = json.loads(spec.read_text())
    written["models"] = {"m": {"base": {"package": "some", "version": "1"}, "parameters": 10**12}}
    spec.write_text(json.dumps(written))
    study = Study(spec, spec.parent / "store")
    with pytest.raises(ArgumentError, match=r"need 4000.0 GB; .* state the model's `parameters`"):
        study.apply(in_process=True)
    assert not study.store.exists()
