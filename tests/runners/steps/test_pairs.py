"""Pairs of a policy's own answers: made of samples and verdicts by hand, and by the tests' own model."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Completion, Example, FinishReason, TrainMetric, Verdict
from dsl.errors import DataError
from dsl.plan.compile import compile
from dsl.steps.steps import Judged, PairsStep
from runners.steps import find_runner, pairs
from runners.store.step_io import StepContext, StepResult, read_rows
from tests.fixtures.tiny_study import TINY, data_folder

KEY = "0" * 64
Sample = tuple[str | None, float | None] | tuple[str | None, float | None, FinishReason]
"""Text, score and end of one answer."""


def made(folder: Path, items: dict[str, Sequence[Sample]]) -> tuple[StepResult, list[Example]]:
    """Run a step on answers by item, as many to each."""
    n = len(next(iter(items.values())))
    folders = {
        "data-0123456789abcdef": data_folder(
            folder / "data", [Example(item=item, language="en", instruction=f"Ask {item}") for item in items]
        )
    }
    samples, verdicts = [f"generate-{at:016x}" for at in range(n)], [f"judge-{at:016x}" for at in range(n)]
    for at, (sample, judge) in enumerate(zip(samples, verdicts, strict=True)):
        answers, scores = list[str](), list[str]()
        for item, given in items.items():
            text, score, *end = given[at]
            answer = Completion(
                row_key=KEY, item=item, language="en", prompt="", text=text, raw_text=text,
                finish_reason=end[0] if end else "eos", max_new_tokens=9, engine="echo",
            )  # fmt: skip
            verdict = Verdict(
                row_key=KEY, judge="length-1", item=item, language="en", aspect="length", score=score,
                unscored_reason=None if score is not None else "it has no opinion",
            )  # fmt: skip
            answers.append(answer.model_dump_json())
            scores += [
                verdict.model_dump_json(),
                verdict.model_copy(update={"judge": "other-1"}).model_dump_json(),
            ]
        for name, file, lines in ((sample, "completions.jsonl", answers), (judge, "verdicts.jsonl", scores)):
            folders[name] = folder / name
            folders[name].mkdir()
            (folders[name] / file).write_text("\n".join(lines) + "\n", "utf-8")
    step = PairsStep(
        examples="data-0123456789abcdef",
        samples=tuple(samples),
        verdicts=tuple(Judged(step=one, judge="length-1") for one in verdicts),
    )
    out = folder / "out"
    out.mkdir()
    result = pairs.run(step, StepContext(folders, folder / "cache"), out)
    return result, list(read_rows(out / "examples.jsonl", Example))


def test_the_best_and_the_worst_answer_are_a_pair_and_all_others_are_counted(tmp_path: Path) -> None:
    result, found = made(
        tmp_path,
        {
            "good": [("b", 2.0), ("a", 1.0), ("c", 4.0)],
            "tied": [("a", 1.0), ("b", 1.0), ("c", 1.0)],
            "equal": [("a", 1.0), ("a", 2.0), ("a", 1.5)],
            "unscored": [("a", None), ("b", 1.0), (None, 2.0, "error")],
            "cut": [("long", 9.0, "length"), ("b", 1.0), ("c", 2.0)],
        },
    )
    assert [(one.item, one.instruction, one.chosen, one.rejected) for one in found] == [
        ("good", "Ask good", "c", "a"),
        ("cut", "Ask cut", "c", "b"),
    ]
    assert result.n_rows == 2
    assert result.facts == {
        "n_questions": 5,
        "n_too_few": 1,
        "n_ties": 1,
        "n_equal": 1,
        "n_answers_left_out": 3,
        "mean_margin": 2.0,
    }


def test_a_step_without_a_pair_fails_and_says_what_became_of_the_questions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="n_questions = 1, n_too_few = 0, n_ties = 1"):
        made(tmp_path, {"tied": [("a", 1.0), ("b", 1.0)]})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_model_is_trained_on_pairs_of_its_own_answers(tmp_path: Path) -> None:
    """The steps of a plan one after another, the tests' own model asked and tuned."""
    spec = {
        "experiment": "own",
        "languages": ["en"],
        "seeds": [0],
        "models": {"tiny": {"base": {"path": str(TINY)}}},
        "data": {
            "asked": {
                "rows": {"path": str(TINY / "questions_en.jsonl")},
                "columns": {"item": "item", "instruction": "instruction"},
            },
            "prompts": {
                "rows": {"path": str(TINY / "preferences_en.jsonl")},
                "columns": {"item": "item", "instruction": "instruction"},
            },
        },
        "evaluate": ["asked"],
        "methods": {
            "own": {
                "method": "dpo",
                "prompt": {"file": str(TINY / "prompts_{language}.yaml")},
                "pairs": {"from": "base", "prompts": "prompts", "samples": 2, "rank_by": "length"},
                "training": {"max_steps": 1},
            }
        },
        "judges": {"length": {"judge": "length"}},
        "decoding": {"max_new_tokens": 24},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(spec), "utf-8")
    loaded = load(path)
    plan = compile(loaded.experiment, Fingerprints(), loaded.origin)
    context = StepContext({i: tmp_path / i for i in plan.steps}, tmp_path / "cache")
    results: dict[str, StepResult] = {}
    for step_id, step in plan.steps.items():
        (tmp_path / step_id).mkdir()
        results[step.kind] = find_runner(step.kind).run(step, context, tmp_path / step_id)
    (pairs_id,) = [i for i, step in plan.steps.items() if step.kind == "pairs"]
    found = list(read_rows(tmp_path / pairs_id / "examples.jsonl", Example))
    assert found
    assert all(len(one.chosen or "") > len(one.rejected or "") > 0 for one in found)
    counts = results["pairs"].facts
    assert len(found) == 16 - sum(int(counts[name] or 0) for name in ("n_too_few", "n_ties", "n_equal"))
    (dpo_id,) = [i for i, step in plan.steps.items() if step.kind == "dpo"]
    losses = [
        row.value for row in read_rows(tmp_path / dpo_id / "metrics.jsonl", TrainMetric) if row.name == "loss"
    ]
    assert losses == [pytest.approx(0.693147, abs=1e-5)]
