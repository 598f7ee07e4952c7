"""The order of a spec decides no number: one study, run once, is put in other orders, and every view says the
same."""

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dsl.plan.diff import Diff
from tests.runners.engines.fake_server import Asked, Said, chat, completion, serving
from tests.xp.small_study import diff_of
from warehouse.connect import WAREHOUSE, connect
from warehouse.statements import HERE
from xp.apply import apply

LANGUAGES = ["fr", "en"]
N_ITEMS = 4
SIZES = {"tiny": 10**7, "small": 10**8, "medium": 10**9, "large": 10**10}
SECTIONS = ("models", "methods", "judges", "contrasts")
LISTS = ("languages", "seeds", "primary")

OF_THE_MOMENT = {"cost_by_model", "cost_by_step", "training_curve"}
"""Views of what a run took."""


def answers(asked: Asked) -> Said:
    """Words drawn by model, seed and prompt, some of them right; as a judge it prefers the longer answer."""
    if asked.body["model"] == "judge":
        a, b = (asked.prompt.split(f"[answer {letter} ")[1].split("\n[end of answer ")[0] for letter in "AB")
        return chat(
            json.dumps(
                {"reason": "longer", "better": "A" if len(a) > len(b) else "B" if len(b) > len(a) else "tie"}
            )
        )
    drawn = Random(
        hashlib.sha256(f"{asked.body['model']} {asked.body.get('seed')} {asked.prompt}".encode()).digest()
    )
    return completion(" ".join(str(drawn.randrange(4)) for _ in range(drawn.randrange(1, 6))))


def study_of(folder: Path, url: str) -> dict[str, Any]:
    def served(name: str) -> dict[str, object]:
        return {"engine": "openai", "name": name, "base_url": url}

    for language in LANGUAGES:
        rows = [
            {"item": f"q{i}", "instruction": f"{i} + 1 ({language})", "answers": [str(i % 4)]}
            for i in range(N_ITEMS)
        ]
        (folder / f"{language}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        said = [{"item": f"q{i}", "response": "1 2"[: 1 + i]} for i in range(N_ITEMS)]
        (folder / f"{language}.said.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in said), "utf-8"
        )
    asked = {
        "rows": {"path": "{language}.jsonl"},
        "columns": {name: name for name in ("item", "instruction", "answers")},
    }
    return {
        "experiment": "order",
        "languages": LANGUAGES,
        "seeds": [1, 0],
        "models": {name: {"base": served(name), "parameters": size} for name, size in SIZES.items()},
        "data": {"sums": asked},
        "evaluate": ["sums"],
        "methods": {
            "written": {
                "method": "recorded",
                "answers": {"path": "{language}.said.jsonl"},
                "columns": {"item": "item", "response": "response"},
            },
            "zero": {"method": "icl", "num_fewshot": 0},
            "one": {"method": "icl", "num_fewshot": 1},
        },
        "decoding": {"temperature": 1.0, "max_new_tokens": 8},
        "judges": {
            "correct": {"judge": "contains"},
            "length": {"judge": "length"},
            "duel": {"judge": "pairwise", "against": "all", "model": served("judge")},
        },
        "contrasts": {
            "gain": {"of": "one", "against": "zero"},
            "all": {"of": "zero", "against": "written", "on": ["length", "correct"]},
        },
        "primary": ["duel", "correct"],
        "baseline": "written",
    }


def reordered(study: dict[str, Any], random: Random) -> dict[str, Any]:
    changed = dict(study)
    for name in SECTIONS:
        changed[name] = {key: study[name][key] for key in random.sample(list(study[name]), len(study[name]))}
    return changed | {name: random.sample(study[name], len(study[name])) for name in LISTS}


def planned(folder: Path, study: dict[str, Any]) -> Diff:
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    return diff_of(folder / "study.yaml", folder / "store")


def every_view(folder: Path) -> dict[str, list[str]]:
    """The rows of each view, sorted, numbers to six digits: later ones hang on the order of a sum."""
    names = sorted({file.stem for file in (HERE / "views" / "marts").glob("*.sql")} - OF_THE_MOMENT)
    with connect(folder / "store" / WAREHOUSE, read_only=True) as connection:
        found: dict[str, list[str]] = {}
        for name in names:
            rows = connection.execute(f"from {name}").fetchall()
            found[name] = sorted(
                str([f"{value:.6g}" if isinstance(value, float) else value for value in row]) for row in rows
            )
        return found


class Run:
    """A study that has been run, and what its views say."""

    def __init__(self, folder: Path, study: dict[str, Any]) -> None:
        self.folder, self.study, self.views = folder, study, every_view(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("order")
    with serving(answers) as server:
        study = study_of(folder, server.url)
        assert not apply(planned(folder, study), folder / "store", in_process=True).failures
    return Run(folder, study)


def test_the_study_has_trends_gaps_and_strengths_to_compare(run: Run) -> None:
    for name in (
        "size_trend",
        "language_gap",
        "language_gap_size_trend",
        "win_rate_by_method",
        "method_strength",
        "contrast_by_language_and_size",
    ):
        assert run.views[name], name


@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.integers(0, 2**32))
def test_a_study_in_another_order_runs_nothing_and_its_views_say_the_same(run: Run, seed: int) -> None:
    diff = planned(run.folder, reordered(run.study, Random(seed)))
    assert not diff.todo
    apply(diff, run.folder / "store", in_process=True)
    after = every_view(run.folder)
    differing = [name for name in after if after[name] != run.views[name]]
    assert [name for name in differing if name != "plans_by_judge"] == []  # it counts what was applied
