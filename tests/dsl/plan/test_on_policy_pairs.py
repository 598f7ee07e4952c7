"""Pairs that a plan makes of a policy's own answers: sampled, judged, and trained on."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.errors import SpecError
from dsl.plan.diff import diff
from dsl.steps.steps import GenerateStep, JudgeStep, PairsStep
from tests.dsl.plan import test_compile
from tests.dsl.plan.test_compile import COLUMNS, kinds, planned, study
from xp.render.labels import labels_of
from xp.render.steps import steps_as_text

folder = test_compile.folder
SFT = {"method": "sft", "train": "rows"}
PAIRS = {"from": "sft", "prompts": "others", "samples": 3, "rank_by": "length"}
JUDGES = {"length": {"judge": "length"}, "empty": {"judge": "empty"}}


def changes(folder: Path, **method: Any) -> dict[str, Any]:
    for language in ("en", "fr"):
        rows = [{"item": f"o{n}", "instruction": f"Question {n} in {language}"} for n in range(2)]
        (folder / f"others_{language}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    columns = {name: name for name in ("item", "instruction")}
    data = study()["data"] | {"others": {"rows": {"path": "others_{language}.jsonl"}, "columns": columns}}
    methods = {"sft": SFT, "own": {"method": "dpo", "policy": "sft", "pairs": PAIRS, **method}}
    return {"data": data, "judges": JUDGES, "methods": methods, "seeds": [0], "languages": ["en"]}


def test_each_sample_has_a_seed_of_its_own_and_pairs_are_trained_on(folder: Path) -> None:
    plan = planned(folder, **changes(folder))
    assert kinds(plan) == {
        "data": 2, "sft": 1, "generate": 2 + 3, "judge": 2 + 3, "pairs": 1, "reference_logps": 1, "dpo": 1
    }  # fmt: skip
    ((step_id, pairs),) = [(i, step) for i, step in plan.steps.items() if isinstance(step, PairsStep)]
    samples = [plan.steps[sample] for sample in pairs.samples]
    (cell,) = [cell for cell in plan.study.cells if cell.method == "own"]
    dpo = plan.steps[cell.train[-1]]
    assert dpo.data == (step_id,)
    for sample, judged in zip(samples, pairs.verdicts, strict=True):
        assert isinstance(sample, GenerateStep)
        assert (sample.tuned, sample.examples) == (cell.train[0], pairs.examples)
        assert (sample.decoding.temperature, sample.prompt) == (1.0, dpo.prompts[0])
        judge = plan.steps[judged.step]
        assert isinstance(judge, JudgeStep)
        assert [one.judge for one in judge.judges.values()] == ["length"]
    assert len({sample.seed for sample in samples}) == 3
    assert list(plan.steps).index(step_id) < list(plan.steps).index(cell.train[-1])


def test_more_samples_keep_those_that_are_there_and_trainers_share_them(folder: Path) -> None:
    few = planned(folder, **changes(folder))
    more = planned(folder, **changes(folder, pairs=PAIRS | {"samples": 5}))
    samples = [
        {i for i, step in plan.steps.items() if isinstance(step, GenerateStep) and step.seed is not None}
        for plan in (few, more)
    ]
    assert samples[0] < samples[1]
    both = changes(folder)
    both["methods"]["kto"] = both["methods"]["own"] | {"method": "kto"}
    assert kinds(planned(folder, **both))["pairs"] == 1


def test_every_training_language_has_pairs_in_its_own_questions(folder: Path) -> None:
    both = changes(folder, train_languages="all", pairs=PAIRS | {"from": "base"}, policy="base")
    plan = planned(folder, **both | {"languages": ["en", "fr"]})
    pairs = [step for step in plan.steps.values() if isinstance(step, PairsStep)]
    assert len({step.examples for step in pairs}) == 2
    for step in pairs:
        assert all(plan.steps[sample].tuned is None for sample in step.samples)


def test_an_evaluated_data_set_needs_no_rows_in_a_language_that_is_trained_on_alone(folder: Path) -> None:
    """The answering model is trained on both languages and answers in both; `asked` is there in English."""
    found = changes(folder, train_languages="all")
    found["methods"]["sft"] = SFT | {"train_languages": "all"}
    (folder / "asked_en.jsonl").write_text(json.dumps({"item": "a", "instruction": "Asked?"}) + "\n", "utf-8")
    asked = {"path": "asked_{language}.jsonl"}
    columns = {name: name for name in ("item", "instruction")}
    found["data"]["asked"] = {"rows": asked, "columns": columns, "languages": ["en"]}
    plan = planned(folder, **found | {"languages": ["en", "fr"], "evaluate": ["asked"]})
    assert {cell.language for cell in plan.study.cells} == {"en"}
    assert kinds(plan)["pairs"] == 2
    assert kinds(plan)["data"] == 1 + 2 * 2  # `asked` in English, the others in both


def test_only_what_a_method_itself_answers_is_asked_in_turn_and_again(folder: Path) -> None:
    """And not the policy that it starts from, whose first answers are no part of its conversation."""
    found = changes(folder, noise=True)
    row = {"item": "t", "first": "Asked first?", "then": "Asked then?"}
    (folder / "turns_en.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    columns = {"item": "item", "turns": ["first", "then"]}
    found["data"]["turns"] = {"rows": {"path": "turns_{language}.jsonl"}, "columns": columns}
    plan = planned(folder, **found | {"evaluate": ["turns"]})
    answers = {cell.generate for cell in plan.study.cells}
    samples = {one for step in plan.steps.values() if isinstance(step, PairsStep) for one in step.samples}
    asked = {i for i, step in plan.steps.items() if isinstance(step, GenerateStep)}
    assert (len(answers), asked) == (6, answers | samples)


def test_a_plan_names_samples_verdicts_and_pairs_and_says_why_they_run(folder: Path) -> None:
    plan = planned(folder, **changes(folder))
    todo = diff(plan, done=())
    labels, text = labels_of(todo), steps_as_text(todo)
    ((step_id, pairs),) = [(i, step) for i, step in plan.steps.items() if isinstance(step, PairsStep)]
    assert labels[step_id] == "pairs for own m tuned on en seed 0"
    assert labels[pairs.samples[1]] == "sample 2 of 3 for own m tuned on en seed 0"
    assert labels[pairs.verdicts[1].step] == "verdicts on sample 2 of 3 for own m tuned on en seed 0"
    for one in (step_id, *pairs.samples, *(judged.step for judged in pairs.verdicts)):
        assert f"  {one}  {labels[one]}  (no result)" in text.splitlines()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"rank_by": "lenght"}, "Did you mean `length`?"),
        ({"rank_by": "duel"}, "`duel` scores no new answer by itself"),
        ({"rank_by": "exact"}, "`others` has no column `answers`, by which `exact` judges its answers"),
        ({"from": "stf"}, "Did you mean `sft`?"),
        ({"from": "own"}, "`own`"),
        ({"prompts": "other"}, "Did you mean `others`?"),
        ({"samples": 1}, "must be at least 2"),
        ({"prompts": "rows"}, "1 of 1 items of `rows` are among the rows of `rows` that `own` is trained on"),
    ],
)
def test_pairs_that_could_not_be_made_are_refused(folder: Path, pairs: dict[str, Any], message: str) -> None:
    found = changes(folder, pairs=PAIRS | pairs)
    found["judges"] = JUDGES | {
        "duel": {"judge": "pairwise", "model": {"engine": "openai", "name": "m"}, "against": ["sft"]},
        "exact": {"judge": "exact"},
    }
    found["data"]["rows"]["allow_overlap"] = False
    found["methods"]["sft"]["train"] = "taught"
    found["data"]["taught"] = {"rows": {"path": "taught_{language}.jsonl"}, "columns": COLUMNS}
    row = {name: f"taught {name}" for name in COLUMNS}
    (folder / "taught_en.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    with pytest.raises(SpecError) as refused:
        planned(folder, **found)
    assert message in str(refused.value)
