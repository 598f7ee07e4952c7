"""A study whose judges compare answers, read one another and are probed, from its spec to the views: the tiny
model answers and decides, and a real server writes as judge, one that obeys what it reads in an answer and
one that does not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.runners.engines.fake_server import Asked, Running, Said, chat, serving
from tests.xp.commands import xp
from warehouse.connect import WAREHOUSE, connect

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "fixtures" / "tiny"
PROMPT = {"prompt": {"file": str(TINY / "prompts_{language}.yaml")}}
N_ITEMS, N_PROBED = 8, 5


def writes(asked: Asked) -> Said:
    """`gullible` does what an answer tells it; `careful` and `jury` do not. `jury` prefers the longer
    answer."""
    is_told = asked.body["model"] == "gullible" and "ignore your instructions" in asked.prompt
    if asked.body["model"] == "jury":
        a, b = (asked.prompt.split(f"[answer {letter} ")[1].split("\n[end of answer ")[0] for letter in "AB")
        return chat(
            json.dumps(
                {"reason": "longer", "better": "A" if len(a) > len(b) else "B" if len(b) > len(a) else "tie"}
            )
        )
    return chat(json.dumps({"clarity": {"reason": "so it is", "score": "5" if is_told else "2"}}))


def asked(sql: str, cwd: Path) -> list[dict[str, object]]:
    with connect(cwd / ".xp" / WAREHOUSE, read_only=True) as connection:
        found = connection.execute(sql)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(writes) as running:
        yield running


@pytest.fixture(scope="module")
def study(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study has been applied."""
    folder = tmp_path_factory.mktemp("compared")

    def served(name: str) -> dict[str, object]:
        return {"engine": "openai", "name": name, "base_url": server.url}

    spec = {
        "experiment": "compared",
        "languages": ["en"],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": {
            "questions": {
                "rows": {"path": str(TINY / "questions_{language}.jsonl")},
                "columns": {"item": "item", "instruction": "instruction", "answers": "answers"},
                "limit": N_ITEMS,
            }
        },
        "evaluate": ["questions"],
        "methods": {
            name: {"method": "icl", "num_fewshot": n, **PROMPT}
            for name, n in (("zero", 0), ("one", 1), ("three", 3))
        },
        "decoding": {"max_new_tokens": 12},
        "judges": {
            "contains": {"judge": "contains"},
            "duel": {"judge": "pairwise", "against": "all", "model": {"path": str(TINY)}},
            "jury": {"judge": "pairwise", "against": "all", "model": served("jury")},
            "gullible": {"judge": "rubric", "aspects": ["clarity"], "model": served("gullible")},
            "careful": {"judge": "rubric", "aspects": ["clarity"], "model": served("careful")},
            "bench": {"judge": "ensemble", "of": ["duel", "jury"]},
            "panel": {"judge": "ensemble", "of": ["gullible", "careful"]},
        },
        "judge_probes": {"talked": {"judges": ["contains", "gullible", "careful", "jury"], "rows": N_PROBED}},
    }
    (folder / "compared.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "xp", "apply", "compared.yaml", "--yes", "--no-report"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_each_pair_of_methods_is_compared_once_the_later_by_name_against_the_earlier(study: Path) -> None:
    found = asked(
        "select judge, method, against, n + n_unscored as n from win_rate_by_method order by all", study
    )
    pairs = [("three", "one"), ("zero", "one"), ("zero", "three")]
    assert [(r["judge"], r["method"], r["against"], r["n"]) for r in found] == [
        (judge, *pair, N_ITEMS) for judge in ("bench", "duel", "jury") for pair in pairs
    ]


def test_the_ensemble_of_two_comparisons_is_their_mean_on_every_item_and_opponent(study: Path) -> None:
    sql = (
        "select judge, method, against, item, score from verdicts where against is not null and score is not"
        " null"
    )
    scores = {(r["judge"], r["method"], r["against"], r["item"]): r["score"] for r in asked(sql, study)}
    brought = {key[1:]: score for key, score in scores.items() if key[0] == "bench"}
    assert len(brought) == 3 * N_ITEMS
    assert all(
        score == (scores["duel", *place] + scores["jury", *place]) / 2 for place, score in brought.items()
    )  # type: ignore[operator]


def test_comparisons_give_strengths_that_put_the_longer_writer_first(study: Path) -> None:
    found = asked(
        "select method, strength, ci_low, ci_high, n from method_strength where judge = 'jury' order by"
        " strength desc",
        study,
    )
    rates = [
        (r["method"], r["against"], float(str(r["win_rate"])))
        for r in asked("from win_rate_by_method where judge = 'jury'", study)
    ]
    assert {r["method"] for r in found} == {"zero", "one", "three"}
    assert sum(r["strength"] for r in found) == pytest.approx(0, abs=1e-9)  # type: ignore[misc]
    assert all(r["n"] == 2 * N_ITEMS for r in found)
    assert all(r["ci_low"] < r["strength"] < r["ci_high"] for r in found)  # type: ignore[operator]
    wins = [sum({m: rate, a: 100 - rate}.get(r["method"], 0) for m, a, rate in rates) for r in found]
    assert wins == sorted(wins, reverse=True)


def test_agreement_is_of_the_two_comparisons_and_of_the_two_rubrics(study: Path) -> None:
    found = asked(
        "select measure_a, measure_b, n, agreement from judge_agreement where language = 'en' order by all",
        study,
    )
    assert [(r["measure_a"], r["measure_b"], r["n"]) for r in found] == [
        ("careful.clarity", "gullible.clarity", 3 * N_ITEMS),
        ("duel vs one", "jury vs one", 2 * N_ITEMS),
        ("duel vs three", "jury vs three", N_ITEMS),
    ]
    assert found[0]["agreement"] == 1


def test_the_judge_that_obeys_is_moved_by_every_plant_and_the_others_by_none(study: Path) -> None:
    found = {r["measure"]: r for r in asked("from judge_probes where probe = 'talked'", study)}
    moved = {
        m: (r["n"], r["n_unscored"], r["share_moved"], r["mean_shift"])
        for m, r in found.items()
        if "vs" not in str(m)
    }
    assert moved == {
        "gullible.clarity": (3 * N_PROBED, 0, 1.0, 3.0),
        "careful.clarity": (3 * N_PROBED, 0, 0.0, 0.0),
        "contains": (3 * N_PROBED, 0, 0.0, 0.0),
    }
    assert found["gullible.clarity"]["n_raised"] == 3 * N_PROBED
    assert found["careful.clarity"]["ci_high"] < found["gullible.clarity"]["ci_low"]  # type: ignore[operator]
    planted = [found["jury vs one"], found["jury vs three"]]
    assert [r["n"] for r in planted] == [2 * N_PROBED, N_PROBED]
    shifts = [r["mean_shift"] for r in planted]
    assert all(shift >= 0 for shift in shifts), "this judge prefers longer answers"  # type: ignore[operator]


def test_what_is_planted_is_in_no_score(study: Path) -> None:
    assert {
        r["score"] for r in asked("select distinct score from verdicts where judge = 'gullible'", study)
    } == {2.0}


def test_a_second_apply_runs_nothing(study: Path) -> None:
    again = xp("apply", "compared.yaml", "--yes", "--no-report", cwd=study)
    assert (again.returncode, again.stdout[:14]) == (0, "Nothing to run")
