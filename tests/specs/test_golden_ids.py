"""The ids that shipped studies have: a change that moves them shows, and so does what it moves.

Whoever changes them on purpose writes them down again, `python -m tests.specs.test_golden_ids`, and says why
in CHANGELOG.md. Steps other than judge steps are listed; judge steps are many, so those with the same judges
have their number and one hash. What a change of code or of a package moves by itself stays out: fingerprints
and versions are the same at all times here.
"""

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from unittest.mock import patch

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile
from dsl.steps.steps import JudgeStep
from tests.specs.public_data import FOLDER

PROJECT = Path(__file__).resolve().parents[2]
SPECS = {path.stem: path for path in sorted((PROJECT / "specs").glob("*.yaml"))}
GOLDEN = PROJECT / "tests" / "golden" / "ids.json"
ON_PUBLIC_FILES = {"mt_bench_x", "phi2", "sizes", "trial"}
"""Studies with files that are not fetched."""
ACCEPTED = {"two_models": ("models.gemma-3-270m.base.accept_license=gemma",)}

Ids = dict[str, dict[str, list[str] | str]]
"""Spec -> kind -> its steps' ids, or what sums them up."""


class SamePackages(Fingerprints):
    """Every package is installed in version 1."""

    def package(self, name: str) -> str:
        return "1"


def ids_of(name: str) -> dict[str, list[str] | str]:
    loaded = load(SPECS[name], ACCEPTED.get(name, ()), SamePackages())
    with patch(
        "dsl.steps.identity.fingerprint",
        lambda *modules: " ".join(module.rpartition(".")[2] for module in modules),
    ):
        planned = compile(loaded.experiment, SamePackages(), loaded.origin).steps
    steps: dict[str, list[str]] = defaultdict(list)
    for step_id, step in planned.items():
        judges = sorted(judge.judge for judge in step.judges.values()) if isinstance(step, JudgeStep) else []
        steps[" ".join([step.kind, *judges])].append(step_id)
    return {
        kind: _summed_up(ids) if kind.startswith("judge ") else sorted(ids)
        for kind, ids in sorted(steps.items())
    }


def _summed_up(ids: list[str]) -> str:
    return f"{len(ids)} steps, {hashlib.sha256(' '.join(sorted(ids)).encode()).hexdigest()[:16]}"


@pytest.mark.parametrize("name", SPECS)
def test_shipped_specs_have_their_golden_ids(name: str) -> None:
    if name in ON_PUBLIC_FILES and not FOLDER.is_dir():
        pytest.skip("no public data: XP_DATA names no folder with the files of this study")
    golden: Ids = json.loads(GOLDEN.read_text("utf-8"))
    assert ids_of(name) == golden[name]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: ids_of(name) for name in SPECS}, indent=1) + "\n", "utf-8")
