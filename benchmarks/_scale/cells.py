"""A study of so many cells on the echo engine, in whole processes: `python -m benchmarks._scale.cells 10000`.

Prints the processor seconds of `xp plan` where nothing is done and, with `apply` behind the number, those of
`xp apply` for each step, models and rows being next to none. They are user seconds of one process: other work
on the machine lengthens a clock's, and these far less.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.plan_10000_cells import write_study

LANGUAGES = ("de", "en", "es", "fr", "it")
METHODS = 8
ITEMS = 2


def spec(n_cells: int) -> dict[str, object]:
    """Echo models, each another by a time that nobody can notice, prompted in eight ways in each language."""
    n_models = -(-n_cells // (METHODS * len(LANGUAGES)))
    return {
        "experiment": "cells",
        "languages": list(LANGUAGES),
        "models": {
            f"m{n}": {"base": {"engine": "echo", "seconds_per_row": n / 1e12}} for n in range(n_models)
        },
        "data": {
            "questions": {
                "rows": {"path": "rows_{language}.jsonl"},
                "columns": {"item": "item", "instruction": "instruction", "response": "response"},
                "allow_overlap": True,
            }
        },
        "evaluate": ["questions"],
        "methods": {
            f"icl_{k}": {"method": "icl", "num_fewshot": k % 4, "preamble": k < 4} for k in range(METHODS)
        },
        "judges": {"empty": {"judge": "empty"}, "length": {"judge": "length"}},
    }


def cpu_seconds(*arguments: str) -> float:
    """Return the user seconds of an `xp` command, those of its workers included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-m", "xp", *arguments], check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main(n_cells: int, *, is_applied: bool) -> None:
    with TemporaryDirectory() as folder:
        path, store = write_study(Path(folder), spec(n_cells), ITEMS), str(Path(folder) / "store")
        found = {"n_cells": n_cells, "plan": cpu_seconds("plan", str(path), "--store", store)}
        if is_applied:
            applied = cpu_seconds("apply", str(path), "--yes", "--no-report", "--store", store)
            n_steps = sum(1 for _ in (Path(store) / "steps").glob("*-*"))
            found |= {"n_steps": n_steps, "apply": applied, "apply_a_step": applied / n_steps}
        print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), is_applied=sys.argv[2:] == ["apply"])
