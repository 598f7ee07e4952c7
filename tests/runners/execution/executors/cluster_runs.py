"""Runs on a cluster beside the same steps in this process alone."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import yaml

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile
from dsl.plan.study import Plan
from dsl.steps.steps import Step
from runners.execution.events import Ended, Event
from runners.execution.executors import in_process
from runners.store.store import Store

TINY = Path(__file__).parents[3] / "fixtures" / "tiny"


def run_here(todo: Mapping[str, Step], store: Path) -> None:
    """Run the same steps in this process, to be compared with."""
    with warnings.catch_warnings():
        # PEFT reads a property that transformers renamed
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        in_process.run(todo, (), Store(store), lambda event: None, 1, {})


def ends(events: list[Event], step_id: str | None = None) -> list[Ended]:
    return [event for event in events if isinstance(event, Ended) and step_id in (None, event.step_id)]


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that a process began with."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def tiny_study(folder: Path, **study: object) -> Plan:
    """A study on the real model of 0.7M parameters."""
    columns = {"questions": ("item", "instruction"), "instructions": ("item", "instruction", "response")}
    spec = {
        "experiment": "tiny",
        "languages": ["en"],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": {
            name: {"rows": {"path": str(TINY / f"{name}_{{language}}.jsonl")}, "columns": {c: c for c in has}}
            for name, has in columns.items()
        },
        "evaluate": ["questions"],
        "decoding": {"max_new_tokens": 12},
        **study,
    }
    folder.mkdir()
    (folder / "tiny.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    loaded = load(folder / "tiny.yaml")
    return compile(loaded.experiment, Fingerprints(), loaded.origin)


def losses(store: Path, sft: str) -> list[tuple[int, float]]:
    rows = [
        json.loads(line) for line in (store / "steps" / sft / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    return [(row["global_step"], row["value"]) for row in rows if row["name"] == "loss"]
