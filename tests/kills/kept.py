"""A round of SIGKILLs over all that a study keeps besides its rows: lock, saved plan, budget and bundle.

The budget is raised from apply to apply, each of a plan that was saved for it; every command is killed once
and then run to its end.
"""

import contextlib
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.xp.small_study import apply_to_end, begin_apply
from xp.lock import lock_file

N_ITEMS = 24
PER_REQUEST = 10
"""Tokens of an answer of `fake_server.completion`."""


def write_budgeted_study(folder: Path, url: str) -> Path:
    """A served model within a budget that answers all questions."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"item": f"q{n}", "instruction": f"{n} + {n}?", "answers": [str(2 * n)]} for n in range(N_ITEMS)]
    (folder / "en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    columns = {"item": "item", "instruction": "instruction", "answers": "answers"}
    model = {"engine": "openai", "name": "served", "base_url": url, "max_concurrency": 2}
    study = {
        "experiment": "killed",
        "languages": ["en"],
        "models": {"served": {"base": model, "parameters": 1}},
        "data": {"sums": {"rows": {"path": "{language}.jsonl"}, "columns": columns}},
        "evaluate": ["sums"],
        "methods": {"zero_shot": {"method": "icl", "num_fewshot": 0}},
        "decoding": {"max_new_tokens": 16},
        "judges": {"correct": {"judge": "contains"}, "length": {"judge": "length"}},
        "budget": {"tokens": 1_000_000},
    }
    (folder / "killed.yaml").write_text(json.dumps(study), "utf-8")  # JSON is YAML
    return folder / "killed.yaml"


class KeptRound:
    """One round on a new store beside a spec; `n_kills` met a command at work, `faults` are in sentences."""

    def __init__(self, spec: Path, store: Path, chance: random.Random, seconds: float) -> None:
        self._spec, self._store, self._chance, self._seconds = spec, store, chance, seconds
        self._plan, self._bundle = spec.with_name("plan.json"), spec.with_name("killed.zip")
        self.n_kills = 0
        self.faults: list[str] = []

    def run(self) -> None:
        """Kill each command once; what it left is gone on from."""
        for path in (lock_file(self._spec), self._plan, self._bundle):
            path.unlink(missing_ok=True)
        self._killed_then_whole("lock", str(self._spec))
        tokens = 1_000
        for _ in range(self._chance.randint(1, 4)):
            tokens += self._chance.randint(0, 2_000)
            self._apply_a_saved_plan(tokens, is_killed=True)
        self._apply_a_saved_plan(1_000_000, is_killed=False)
        if self.faults:
            return
        self._check_ledger()
        self._killed_then_whole("bundle", str(self._spec), str(self._bundle))
        self._killed_then_whole("verify", str(self._bundle))
        self._killed_then_whole("verify", "--remake", "20%", "--allow-env")

    def _apply_a_saved_plan(self, tokens: int, *, is_killed: bool) -> None:
        study = json.loads(self._spec.read_text("utf-8")) | {"budget": {"tokens": tokens}}
        self._spec.write_text(json.dumps(study), "utf-8")
        planning = ("plan", str(self._spec), "--out", str(self._plan))
        if is_killed:
            self._killed_then_whole(*planning)
            process = begin_apply(self._plan, self._store)
            self._kill(process, "apply")
        else:
            self._whole(*planning)
            finished = apply_to_end(self._plan, self._store, seconds=self._seconds)
            self._check(
                "the last apply of a saved plan", finished.returncode, finished.stdout + finished.stderr
            )

    def _killed_then_whole(self, *arguments: str) -> None:
        self._kill(self._begin(*arguments), arguments[0])
        self._whole(*arguments)

    def _whole(self, *arguments: str) -> None:
        process = self._begin(*arguments)
        try:
            out, _ = process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
        self._check(f"xp {arguments[0]}", process.returncode, out)

    def _check(self, what: str, code: int, said: str) -> None:
        if code:
            self.faults.append(f"{what} ended with {code}: {said[-500:]}")

    def _kill(self, process: "subprocess.Popen[str]", what: str) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self._chance.uniform(0.3, 4.0))
        if process.poll() is None:
            self.n_kills += 1
            process.kill()
        out, err = process.communicate(timeout=self._seconds)
        if "Traceback" in (said := out + (err or "")):
            self.faults.append(f"a traceback of {what} before it was killed: {said[-500:]}")

    def _begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "xp", *arguments, "--store", str(self._store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _check_ledger(self) -> None:
        """Check that each request is entered as it began and as it ended, once, and that each answer was
        paid."""
        lines = (self._store / "spending" / "killed.jsonl").read_text("utf-8").splitlines()
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
        begun, over = (
            Counter(entry["request"] for entry in entries if entry["is_over"] is is_over)
            for is_over in (False, True)
        )
        if begun != over or max(begun.values(), default=0) > 1:
            self.faults.append("a request was entered twice, or never ended")
        n_paid = sum(entry["use"]["tokens"] == PER_REQUEST for entry in entries if entry["is_over"])
        if n_paid < N_ITEMS:
            self.faults.append(f"{n_paid} answers were paid of {N_ITEMS}")
