"""Studies of verdicts that others recorded: what `xp` finds in them is what an independent reading of the
files finds."""

import gzip
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.plan.compile import compile
from dsl.plan.diff import diff
from runners.store.store import Store
from tests.specs.public_data import FOLDER, needed
from warehouse.connect import WAREHOUSE, connect
from warehouse.statements import fetch
from xp.apply import apply

SPECS = Path(__file__).resolve().parents[2] / "specs"
ALPACA, JUST_EVAL = FOLDER / "alpaca_eval_phi2", FOLDER / "just_eval" / "examples"
METHODS = ("phi-2", "phi-2-dpo", "phi-2-sft")
NO_OTHER_JUDGE = tuple(f"judges.{name}=null" for name in ("language", "loop", "empty", "length"))

WIN_RATES = "select method, win_rate, standard_error, n from win_rate_by_method order by method"
CONTRASTS = (
    "select contrast, estimate, n, n_lost from contrast_by_language_and_size where judge = 'preference' order"
    " by contrast"
)


def asked(name: str, store: Path, sql: str, *overrides: str) -> list[dict[str, Any]]:
    """Apply a shipped study and ask the warehouse."""
    loaded = load(SPECS / f"{name}.yaml", overrides)
    plan = compile(loaded.experiment, Fingerprints(), loaded.origin)
    assert apply(diff(plan, Store(store).done()), store, in_process=True).n_failed == 0
    with connect(store / WAREHOUSE, read_only=True) as connection:
        return fetch(connection, sql)


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


def expected(rows: list[dict[str, Any]]) -> tuple[float, float, int]:
    """Win rate and standard error in per cent as AlpacaEval defines them, and n: a tie is one half, what is
    missing is dropped."""
    won = [
        {1: 0.0, 2: 1.0, 1.5: 0.5, 0: 0.5}[row["preference"]] for row in rows if row["preference"] is not None
    ]
    return 100 * statistics.fmean(won), 100 * statistics.stdev(won) / len(won) ** 0.5, len(won)


def are_as_defined(found: list[dict[str, Any]], files: Mapping[str, list[dict[str, Any]]]) -> None:
    assert [row["method"] for row in found] == sorted(files)
    for row in found:
        win_rate, standard_error, n = expected(files[row["method"]])
        assert row["win_rate"] == pytest.approx(win_rate, rel=1e-12)
        assert row["standard_error"] == pytest.approx(standard_error, rel=1e-12)
        assert row["n"] == n


@needed
def test_phi_2_s_win_rates_are_those_that_alpacaeval_defines(tmp_path: Path) -> None:
    files = {m: _rows(ALPACA / f"{m}.alpaca_eval_gpt4.jsonl.gz") for m in METHODS}
    are_as_defined(asked("phi2", tmp_path, WIN_RATES, *NO_OTHER_JUDGE), files)

    won = {
        m: {
            r["instruction"]: {0: 0.5}.get(r["preference"], r["preference"] - 1)
            for r in rows
            if r["preference"] is not None
        }
        for m, rows in files.items()
    }
    gains = {"dpo_gain": ("phi-2-dpo", "phi-2-sft"), "sft_gain": ("phi-2-sft", "phi-2")}
    for row in asked("phi2", tmp_path, CONTRASTS, *NO_OTHER_JUDGE):
        of, against = (won[method] for method in gains.pop(row["contrast"]))
        both = of.keys() & against.keys()
        assert row["estimate"] == pytest.approx(statistics.fmean(of[i] - against[i] for i in both))
        assert (row["n"], row["n_lost"]) == (len(both), 805 - len(both))
    assert not gains


def test_set_points_the_study_at_other_files_of_the_same_form(tmp_path: Path) -> None:
    preferences = {
        "phi-2": [1, 1, 0, None, 2],
        "phi-2-sft": [2, 1.5, 2, 1, None],
        "phi-2-dpo": [2, 2, 1.5, 2, 0],
    }
    files = {
        method: [
            {"instruction": f"do {i}", "dataset": "d", "output_2": f"{method} {i}", "preference": p}
            for i, p in enumerate(given)
        ]
        for method, given in preferences.items()
    }
    for method, rows in files.items():
        (tmp_path / f"{method}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in reversed(rows)), "utf-8"
        )
    found = asked(
        "phi2",
        tmp_path / "store",
        WIN_RATES,
        *NO_OTHER_JUDGE,
        f"data.alpaca_eval.rows.path={tmp_path}/phi-2.jsonl",
        *(f"methods.{method}.answers.path={tmp_path}/{method}.jsonl" for method in METHODS),
        f"judges.preference.verdicts.path={tmp_path}/{{method}}.jsonl",
    )
    are_as_defined(found, files)


MEANS = (
    "select aspect, avg(score) as mean, count(score) as n, count(*) - count(score) as n_unscored from"
    " verdicts group by all"
)


@needed
@pytest.mark.parametrize("na", [(), ("judges.general.na_as=5", "judges.safety.na_as=5")])
def test_just_eval_s_examples_have_the_means_that_their_authors_published(
    na: tuple[str, ...], tmp_path: Path
) -> None:
    found = {row["aspect"]: row for row in asked("just_eval_examples", tmp_path, MEANS, *na)}
    for name, n in (("1.score_multi.gpt-4", 6), ("1.safety.score_safety.chatgpt", 4)):
        published = json.loads((JUST_EVAL / f"{name}.eval_res.json").read_text("utf-8"))
        for aspect in [key.removesuffix("_mean") for key in published if key.endswith("_mean")]:
            row = found.pop(aspect)
            assert (row["mean"], row["n"], row["n_unscored"]) == (
                pytest.approx(published[f"{aspect}_mean"]),
                n,
                0,
            )
    assert not found


@needed
@pytest.mark.parametrize(
    ("na", "mean", "n", "n_unscored"),
    [((), (4 + 4 + 5 + 5 + 3) / 5, 5, 1), (("judges.general.na_as=5",), (5 + 4 + 4 + 5 + 5 + 3) / 6, 6, 0)],
)
def test_an_na_among_them_is_unscored_unless_it_is_asked_to_count_as_5(
    na: tuple[str, ...], mean: float, n: int, n_unscored: int, tmp_path: Path
) -> None:
    rows = json.loads((JUST_EVAL / "1.score_multi.gpt-4.json").read_text("utf-8"))
    reply = json.loads(rows[0]["result"])
    assert reply["factuality"]["score"] == "3"
    reply["factuality"]["score"] = "N/A"
    rows[0]["result"] = json.dumps(reply)
    (tmp_path / "judged.json").write_text(json.dumps(rows), "utf-8")
    found = asked(
        "just_eval_examples",
        tmp_path / "store",
        MEANS,
        f"judges.general.verdicts.path={tmp_path}/judged.json",
        "judges.general.verdicts.url=null",
        "judges.general.verdicts.sha256=null",
        *na,
    )
    (row,) = [row for row in found if row["aspect"] == "factuality"]
    assert (row["mean"], row["n"], row["n_unscored"]) == (pytest.approx(mean), n, n_unscored)


ACCURACIES = (
    "select unit, accuracy, n, n_unscored from ifeval_accuracy where strictness = 'strict' order by unit"
)


def test_a_null_answer_follows_none_of_m_ifeval_s_instructions(tmp_path: Path) -> None:
    instructions = {
        "instruction_id_list": ["en:punctuation:no_comma", "en:startend:quotation"],
        "kwargs": [{}, {}],
    }
    asked_of = [{"key": n, "prompt": f"do {n}", **instructions} for n in range(3)]
    given = ['"all followed"', "half followed", None]
    for name, rows in (
        ("prompts", asked_of),
        (
            "answers",
            [
                {"prompt": row["prompt"], "response": answer}
                for row, answer in zip(asked_of, given, strict=True)
            ],
        ),
    ):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = asked(
        "sizes",
        tmp_path / "store",
        ACCURACIES,
        "languages=[en]",
        "models.qwen2.5-1.5b=null",
        "models.qwen2.5-7b=null",
        *(f"judges.{name}=null" for name in ("language", "loop", "empty", "truncated", "refusal", "length")),
        *(f"data.m_ifeval.rows.{name}=null" for name in ("en", "fr", "es")),
        f"data.m_ifeval.rows.path={tmp_path}/prompts.jsonl",
        f"methods.instruct.answers.path={tmp_path}/answers.jsonl",
    )
    assert [(row["unit"], row["n"], row["n_unscored"]) for row in found] == [
        ("instruction", 6, 0),
        ("prompt", 3, 0),
    ]
    assert [row["accuracy"] for row in found] == pytest.approx([3 / 6, 1 / 3])


def test_fastchat_s_answers_and_judgments_are_those_of_their_turns(tmp_path: Path) -> None:
    folder = SPECS / "layouts" / "data" / "fastchat"
    given = defaultdict[tuple[str, int], list[float]](list)
    for line in (folder / "model_judgment" / "gpt-4_single.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        given[row["model"], row["turn"]].append(row["score"])
    said = {
        (row["model_id"], row["question_id"], turn): text
        for file in (folder / "model_answer").iterdir()
        for row in map(json.loads, file.read_text("utf-8").splitlines())
        for turn, text in enumerate(row["choices"][0]["turns"], 1)
    }
    means = asked(
        "layouts/fastchat",
        tmp_path,
        "select model, turn, mean_score, n from score_by_turn where judge = 'single'",
    )
    assert {(row["model"], row["turn"]): (row["mean_score"], row["n"]) for row in means} == {
        key: (pytest.approx(statistics.fmean(scores)), 3) for key, scores in given.items()
    }
    answers = asked("layouts/fastchat", tmp_path, "select model, item, turn, text, turns from shown_answers")
    assert {(row["model"], int(row["item"]), row["turn"]): row["text"] for row in answers} == said
    for row in answers:
        before = [turn["content"] for turn in row["turns"] if turn["role"] == "assistant"]
        assert before == [said[row["model"], int(row["item"]), turn] for turn in range(1, row["turn"])]
