"""The order of a spec: it decides display, no step and no comparison."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile
from dsl.plan.study import Plan
from dsl.steps.steps import JudgeStep

LANGUAGES = ["en", "fr", "es"]
SEEDS = [0, 1, 2]
MODEL = {"engine": "openai", "name": "m", "base_url": "http://localhost:1/v1"}
COLUMNS = {name: name for name in ("item", "instruction", "answers", "response", "chosen", "rejected")}

STUDY: dict[str, Any] = {
    "experiment": "order",
    "languages": LANGUAGES,
    "seeds": SEEDS,
    "models": {name: {"base": {"hub": f"a/{name}", "revision": "1"}} for name in ("small", "large")},
    "data": {
        name: {"rows": {"path": "rows_{language}.jsonl"}, "columns": COLUMNS, "allow_overlap": True}
        for name in ("asked", "pool", "more")
    },
    "evaluate": ["asked", "more"],
    "methods": {
        "urial": {"method": "icl"},
        "drawn": {"method": "icl", "demonstrations": {"from": "pool"}},
        "sft": {"method": "sft", "train": "pool"},
        "both": {"method": "sft", "train": "pool", "train_languages": ["fr", "en"]},
        "dpo": {"method": "dpo", "pairs": "pool", "policy": "shared", "train_languages": "all"},
        "shared": {"method": "sft", "train": "pool", "train_languages": "all"},
    },
    "judges": {
        "correct": {"judge": "contains"},
        "language": {"judge": "language"},
        "duel": {"judge": "pairwise", "against": "all", "model": MODEL},
        "jury": {"judge": "pairwise", "against": ["urial", "sft"], "model": MODEL},
        "court": {"judge": "pairwise", "against": ["sft", "urial"], "model": MODEL, "rubric": "just_eval"},
        "bench": {"judge": "ensemble", "of": ["duel", "duel_without_ties"]},
        "duel_without_ties": {"judge": "pairwise", "against": "all", "model": MODEL, "ties": False},
    },
    "judge_probes": {
        "talked": {"judges": ["correct", "duel"], "rows": 3},
        "again": {"judges": ["jury"], "rows": 2},
    },
    "contrasts": {
        "gain": {"of": "sft", "against": "urial"},
        "more": {"of": "dpo", "against": "shared", "on": ["duel", "correct"]},
    },
}
"""Trained and untrained methods, languages tuned on together and apart, judges that compare with all, with
some and with one another's."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for language in LANGUAGES:
        rows = [{name: str(i) for name in COLUMNS} | {"answers": [str(i)]} for i in range(4)]
        (folder / f"rows_{language}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), "utf-8"
        )
    return folder


def planned(folder: Path, study: dict[str, Any]) -> Plan:
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    found = load(folder / "study.yaml")
    return compile(found.experiment, Fingerprints(), found.origin)


@pytest.fixture(scope="module")
def before(folder: Path) -> Plan:
    return planned(folder, STUDY)


def small(methods: tuple[str, ...]) -> dict[str, Any]:
    """A study of these methods and of one judge that compares them all."""
    return STUDY | {
        "methods": {
            name: {"method": "sft", "train": "pool"} if name != "urial" else {"method": "icl"}
            for name in methods
        },
        "judges": {"duel": STUDY["judges"]["duel"]},
        "judge_probes": {},
        "contrasts": {},
    }


def reordered(study: Any, permuted: Callable[[list[Any]], list[Any]]) -> Any:
    """The study with every mapping and every list of names in another order."""
    if isinstance(study, dict):
        found = cast("dict[str, Any]", study)
        return {key: reordered(found[key], permuted) for key in permuted(list(found))}
    return permuted(list(cast("list[Any]", study))) if isinstance(study, list) else study


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 2**32))
def test_the_order_of_a_spec_decides_no_step_no_cell_and_no_comparison(
    folder: Path, before: Plan, seed: int
) -> None:
    random = Random(seed)
    after = planned(folder, reordered(STUDY, lambda names: random.sample(names, len(names))))
    assert set(after.steps) == set(before.steps)
    assert {cell.cell_id: (cell.generate, cell.judges, cell.probes) for cell in after.study.cells} == {
        cell.cell_id: (cell.generate, cell.judges, cell.probes) for cell in before.study.cells
    }
    assert {c.name: c for c in after.study.contrasts} == {c.name: c for c in before.study.contrasts}


def compared(plan: Plan, judge: str) -> list[tuple[str, int | None, str]]:
    """Method, its seed and each of its opponents, in one place."""
    cells = [
        c
        for c in plan.study.cells
        if (c.dataset, c.language, c.model) == ("asked", "en", "small") and judge in c.judges
    ]
    steps = {cell.cell_id: cast(JudgeStep, plan.steps[cell.judges[judge].step]) for cell in cells}
    return sorted((c.method, c.seed, other) for c in cells for other in steps[c.cell_id].against)


@pytest.mark.parametrize("methods", [("urial", "sft"), ("sft", "urial")])
def test_the_method_with_more_seeds_is_judged_against_the_other(
    folder: Path, methods: tuple[str, str]
) -> None:
    plan = planned(folder, small(methods))
    assert compared(plan, "duel") == [("sft", seed, "urial") for seed in SEEDS]


def test_of_methods_with_equally_many_seeds_the_later_by_name_is_judged_each_seed_against_its_own(
    folder: Path,
) -> None:
    plan = planned(folder, small(("shared", "sft")))
    assert compared(plan, "duel") == [("shared", seed, "sft") for seed in SEEDS]
