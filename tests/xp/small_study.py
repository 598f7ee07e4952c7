"""A small study on the echo engine, slow enough to be stopped half-way, and what is read back of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import duckdb
import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile
from dsl.plan.diff import Diff, diff
from dsl.plan.study import Plan
from runners.store.store import Store
from tests.xp.commands import xp

T = TypeVar("T")

HANG_SECONDS = 300.0
"""A wait that takes longer hangs: no machine is so slow. A limit that a busy machine might reach is none."""

ROWS = {"generate": "completions.jsonl", "judge": "verdicts.jsonl", "data": "examples.jsonl"}


def write_study(
    folder: Path,
    *,
    languages: tuple[str, ...] = ("en", "fr"),
    n_items: int = 20,
    seconds_per_row: float = 0.0,
) -> Path:
    """A study with a data, a generate and a judge step for each language; every question and so every prompt
    is another."""
    folder.mkdir(parents=True, exist_ok=True)
    for language in languages:
        rows = [
            {
                "item": f"q{i}",
                "instruction": f"Wie viel ist {i} + {i}? ({language}) é",
                "answers": [str(2 * i)],
            }
            for i in range(n_items)
        ]
        (folder / f"{language}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    study = {
        "experiment": "small",
        "question": "Does it go on where it was stopped?",
        "languages": list(languages),
        "models": {"echo": {"base": {"engine": "echo", "seconds_per_row": seconds_per_row}}},
        "data": {
            "sums": {
                "rows": {"path": "{language}.jsonl"},
                "columns": {"item": "item", "instruction": "instruction", "answers": "answers"},
            }
        },
        "evaluate": ["sums"],
        "methods": {"zero_shot": {"method": "icl", "num_fewshot": 0}},
        "decoding": {"max_new_tokens": 16},
        "judges": {"correct": {"judge": "contains"}},
    }
    spec = folder / "small.yaml"
    spec.write_text(json.dumps(study), "utf-8")  # JSON is YAML
    return spec


def plan_of(spec: Path) -> Plan:
    loaded = load(spec)
    return compile(loaded.experiment, Fingerprints(), loaded.origin)


def diff_of(spec: Path, store: Path) -> Diff:
    return diff(plan_of(spec), Store(store).done())


def step_ids(plan: Plan, kind: str) -> list[str]:
    return [step_id for step_id, step in plan.steps.items() if step.kind == kind]


def rows_of(folder: Path) -> list[dict[str, object]]:
    """A step's whole rows in the order of their items, without what differs from run to run."""
    kind = folder.name.partition("-")[0]
    path = folder / ROWS[kind]
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return sorted(
        ({k: v for k, v in row.items() if k != "seconds"} for row in rows), key=lambda row: str(row["item"])
    )


def all_rows(store: Path) -> dict[str, list[dict[str, object]]]:
    """Finished step -> its rows."""
    return {step_id: rows_of(Store(store).step_folder(step_id)) for step_id in sorted(Store(store).done())}


def in_warehouse(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """Read the warehouse's examples, completions and verdicts."""
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        return {
            "examples": connection.execute(
                "select step_id, item, language, instruction from examples order by all"
            ).fetchall(),
            "completions": connection.execute(
                "select step_id, item, text, finish_reason from completions order by all"
            ).fetchall(),
            "verdicts": connection.execute(
                "select step_id, item, aspect, score from verdicts order by all"
            ).fetchall(),
        }


def begin_apply(
    spec: Path, store: Path, *options: str, before: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """`xp apply` in a session of its own, as a terminal starts it."""
    command = [
        *before,
        sys.executable,
        "-m",
        "xp",
        "apply",
        str(spec),
        "--yes",
        "--no-report",
        "--store",
        str(store),
        *options,
    ]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=as_a_terminal_does,
    )


def as_a_terminal_does() -> None:
    """Signals end a program started from a terminal, also where these tests themselves run behind `nohup` or
    `&`."""
    for one in (signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_DFL)


def apply_to_end(
    spec: Path, store: Path, *options: str, seconds: float = HANG_SECONDS
) -> subprocess.CompletedProcess[str]:
    process = begin_apply(spec, store, *options)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def apply_here(spec: Path, store: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`xp apply` to its end as above, in the tests' own process, which has its libraries loaded."""
    arguments = ("apply", str(spec), "--yes", "--no-report", "--store", str(store), *options)
    return xp(*arguments, cwd=Path.cwd())


def workers_of(store: Path) -> list[int]:
    """Processes at work on a store, zombies left out."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"runners.execution.worker" in words and os.fsencode(store) in words:
                found.append(int(folder.name))
    return found


def wait_for(what: Callable[[], T]) -> T:
    """Ask again and again until the answer is a true one."""
    until = time.monotonic() + HANG_SECONDS
    while not (answer := what()):
        if time.monotonic() > until:
            pytest.fail(f"waited {HANG_SECONDS} s in vain")
        time.sleep(0.01)
    return answer


def unfinished_rows(store: Path) -> Iterator[tuple[str, int]]:
    """Generate step -> whole rows that its unfinished attempt has on the disk."""
    for folder in (store / "steps").glob("generate-*.tmp"):
        yield folder.name.removesuffix(".tmp"), len(rows_of(folder))
