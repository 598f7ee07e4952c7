"""Metrics of training that go to a package, too."""

import sys
from pathlib import Path

import pytest

from dsl.errors import DataError
from dsl.steps.identity import step_id
from dsl.steps.steps import SftStep
from dsl.steps.training_settings import Adapter, Training
from runners.steps import sft
from runners.store.step_io import StepContext
from runners.training.reports import check_reported
from tests.fixtures.tiny_study import WEIGHTS, chat_form, inputs, rows
from xp.reach import reach

TRACKIO = """
from contextvars import ContextVar
from types import SimpleNamespace
context_vars = SimpleNamespace(
    current_space_id=ContextVar("space", default=None), current_run=ContextVar("run", default=None)
)
logged = []
__version__ = "9"

class Config(dict):
    def update(self, values, allow_val_change):
        super().update(values)

config = Config()
def init(project, name, space_id, **kwargs):
    assert space_id is None
def log(values, **kwargs):
    logged.append(values)
def finish():
    pass
"""


def trained(folder: Path, **training: object) -> tuple[SftStep, StepContext]:
    found, steps = inputs(folder / "data", en=rows("instructions", "en"))
    settings = Training.model_validate({"max_steps": 2, **training})
    step = SftStep(
        weights=WEIGHTS,
        train=tuple(steps),
        prompts=(chat_form(),),
        adapter=Adapter(r=4),
        training=settings,
        seed=0,
    )
    return step, found


def test_whom_metrics_are_reported_to_is_no_part_of_the_identity(tmp_path: Path) -> None:
    silent, told = (trained(tmp_path / name, report_to=name)[0] for name in ("trackio", "wandb"))
    assert step_id(silent) == step_id(told)


def test_nothing_is_reported_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert Training().as_trl()["report_to"] == "none"
    assert [line for line in reach([trained(tmp_path)[0]], (), tmp_path) if "metrics" in line] == []


@pytest.mark.parametrize("package", ["trackio", "wandb"])
def test_a_package_that_is_missing_is_named_by_the_plan_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr("runners.training.reports.find_spec", {}.get)
    step, _ = trained(tmp_path, report_to=package)
    with pytest.raises(DataError, match=f"`report_to: {package}` needs the package {package}: pip install"):
        check_reported(step.training)
    lines = list(reach([step], (), tmp_path))
    assert f"reports the metrics of training to {package}" in lines
    assert any(line.startswith(f"not ready: `report_to: {package}`") for line in lines)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_metrics_go_to_the_package_and_to_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trackio.py").write_text(TRACKIO, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("transformers.integrations.integration_utils.is_trackio_available", lambda: True)
    step, found = trained(tmp_path, report_to="trackio")
    out = tmp_path / "out"
    out.mkdir()
    sft.run(step, found, out)
    logged = sys.modules.pop("trackio").logged
    assert sum("train/loss" in values for values in logged) == 2
    assert (out / "metrics.jsonl").exists()
