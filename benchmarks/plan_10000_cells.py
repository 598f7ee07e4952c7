"""A study of 10,000 cells, all of it done: whole processes of `xp plan` and of an `xp apply` that finds
nothing to run.

3 languages × 20 models × 50 methods (icl, sft, dpo) × up to 5 seeds, two judges each. Every step lies
finished in a store, with one row, as a runner leaves it, and is loaded into the warehouse before the clock
starts.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import yaml

from benchmarks._command import median_seconds
from benchmarks.measured import Measured, within
from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Completion, Example, Outcome, RefLogps, TrainMetric, Verdict
from dsl.plan.compile import compile
from dsl.plan.diff import diff
from dsl.plan.study import Plan
from dsl.steps.steps import JudgeStep
from dsl.values import Sha256, StepId, Value
from runners.store.digests import content, describe
from runners.store.store import Store
from xp.apply import apply

PLAN_SECONDS = 2.0
APPLY_SECONDS = 3.0


def spec(
    n_models: int = 20, n_each: int = 16, languages: Sequence[str] = ("en", "fr", "es")
) -> dict[str, object]:
    """The study: tuned methods have five seeds each, prompted ones none."""
    methods: dict[str, object] = {
        f"icl_{k}": {"method": "icl", "num_fewshot": k % 4, "preamble": k < 4} for k in range(8)
    }
    methods |= {
        f"sft_{n}": {
            "method": "sft",
            "train": "pairs",
            "rows": n,
            "train_languages": "all",
            "training": {"max_steps": n},
        }
        for n in range(1, n_each + 1)
    }
    methods |= {
        f"dpo_{n}": {"method": "dpo", "policy": "sft_1", "pairs": "pairs", "beta": n / 10}
        for n in range(1, n_each + 1)
    }
    return {
        "experiment": "large",
        "languages": list(languages),
        "seeds": [0, 1, 2, 3, 4],
        "models": {f"m{n}": {"base": {"hub": f"some/model-{n}", "revision": "abc"}} for n in range(n_models)},
        "data": {
            "pairs": {
                "rows": {"path": "rows_{language}.jsonl"},
                "columns": {c: c for c in ("item", "instruction", "response", "chosen", "rejected")},
                "allow_overlap": True,
            }
        },
        "evaluate": ["pairs"],
        "methods": methods,
        "judges": {"empty": {"judge": "empty"}, "length": {"judge": "length"}},
    }


def run() -> Iterator[Measured]:
    with TemporaryDirectory() as folder:
        path, store = write_study(Path(folder), spec()), Path(folder) / "store"
        loaded = load(path)
        plan = compile(loaded.experiment, Fingerprints(), loaded.origin)
        assert len(plan.study.cells) >= 10_000
        size = f"{len(plan.study.cells):,} cells, {len(plan.steps):,} steps"
        yield within(
            f"xp plan of {size}, nothing done",
            median_seconds("plan", str(path), "--store", str(store)),
            PLAN_SECONDS,
        )
        finish(plan, store)
        apply(diff(plan, Store(store).done()), store)
        yield within(
            f"xp plan of {size}, all done",
            median_seconds("plan", str(path), "--store", str(store)),
            PLAN_SECONDS,
        )
        yield within(
            f"xp apply of {size}, all done",
            median_seconds("apply", str(path), "--yes", "--no-report", "--store", str(store)),
            APPLY_SECONDS,
        )


def write_study(folder: Path, study: dict[str, object], n_items: int = 16) -> Path:
    """The study's spec with the files of rows that it names."""
    for language in cast("list[str]", study["languages"]):
        answers = {"response": "b", "chosen": "c", "rejected": "d"}
        rows = [{"item": str(n), "instruction": f"{n} {language}", **answers} for n in range(n_items)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"rows_{language}.jsonl").write_text(lines, "utf-8")
    path = folder / "large.yaml"
    path.write_text(yaml.safe_dump(study), "utf-8")
    return path


def finish(plan: Plan, store: Path) -> None:
    """Leave every step in the store as its runner does when it is done, but for what puts each file on the
    disk at once."""
    contents: dict[StepId, Sha256] = {}
    for step_id, step in plan.steps.items():
        folder = store / "steps" / step_id
        folder.mkdir(parents=True)
        name, row = _ROWS[step.kind]
        rows = (
            [_VERDICT.model_copy(update={"judge": key}) for key in step.judges]
            if isinstance(step, JudgeStep)
            else [row]
        )
        for file, values in (("step.json", [step]), (name, rows)):
            (folder / file).write_text("".join(value.model_dump_json() + "\n" for value in values), "utf-8")
        files, inputs = describe(folder), {i: contents[i] for i in step.inputs}
        contents[step_id] = content(files)
        outcome = Outcome(
            step_id=step_id,
            seconds=1.0,
            n_rows=1,
            versions={"torch": "2.13.0"},
            facts={"kind": step.kind},
            files=files,
            inputs=inputs,
        )
        (folder / "outcome.json").write_text(outcome.model_dump_json() + "\n", "utf-8")


_TRAINED = ("metrics.jsonl", TrainMetric(global_step=1, name="loss", value=1.0))
_VERDICT = Verdict(row_key="0" * 64, item="1", language="en", aspect="length", score=1.0)
_ROWS: dict[str, tuple[str, Value]] = {
    "data": (
        "examples.jsonl",
        Example(item="1", language="en", instruction="a", response="b", chosen="c", rejected="d"),
    ),
    "sft": _TRAINED,
    "dpo": _TRAINED,
    "reference_logps": (
        "ref_logps.jsonl",
        RefLogps(
            row_key="0" * 64,
            item="1",
            language="en",
            ref_chosen_logps=-1.0,
            ref_rejected_logps=-2.0,
            n_tokens=2,
        ),
    ),
    "generate": (
        "completions.jsonl",
        Completion(
            row_key="0" * 64,
            item="1",
            language="en",
            prompt="a",
            text="b",
            raw_text="b",
            finish_reason="eos",
            max_new_tokens=256,
            n_prompt_tokens=1,
            n_new_tokens=1,
            engine="transformers",
        ),
    ),
    "judge": ("verdicts.jsonl", _VERDICT),
}
