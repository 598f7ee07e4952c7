"""Judges that read other judges: what is wrong is reported with its place, and what they read is what the
plan says."""

from pathlib import Path
from typing import cast

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.steps.steps import JudgeStep

SPEC = """\
experiment: small
languages: ["en"]
models:
  m:
    base: {engine: echo}
data:
  asked:
    rows: {path: "asked.jsonl"}
    columns: {item: id, instruction: text, answers: text}
evaluate: [asked]
methods:
  zero: {method: icl, num_fewshot: 0}
  three: {method: icl, num_fewshot: 3}
judges:
  right: {judge: contains}
  same: {judge: exact}
  long: {judge: length}
  duel: {judge: pairwise, against: zero, model: {engine: openai, name: j, base_url: "http://localhost:1/v1"}}
  jury: {judge: pairwise, against: zero, model: {engine: openai, name: k, base_url: "http://localhost:1/v1"}}
  file: {judge: rubric, rubric: {file: mine.yaml}, model: {engine: openai, name: k, base_url: "http://h/v1"}}
  other: {judge: rubric, rubric: {file: mine.yaml}, model: {engine: openai, name: l, base_url: "http://h/v1"}}
  paid: {judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, response: text, score: id}}
  both: BOTH
judge_probes:
  talked: {judges: [PROBED], rows: 2}
"""
RUBRIC = (
    "aspects:\n  wit: {question: 'Is it witty?', levels: [dull, funny]}\n  tact: {question: 'Is it kind?',"
    " levels: [rude, kind]}\n"
)


def write(folder: Path, both: str, probed: str = "right") -> Path:
    (folder / "asked.jsonl").write_text('{"id": "1", "text": "a"}\n', "utf-8")
    (folder / "mine.yaml").write_text(RUBRIC, "utf-8")
    spec = folder / "study.yaml"
    spec.write_text(SPEC.replace("BOTH", both).replace("PROBED", probed), "utf-8")
    return spec


@pytest.mark.parametrize(
    ("both", "probed", "says"),
    [
        (
            "{judge: ensemble, of: [right, long]}",
            "right",
            "its members have no common scale: long: no known lowest and highest score; right: from 0 to 1",
        ),
        ("{judge: ensemble, of: [right, duel]}", "right", "different opponents: duel: zero; right: none"),
        ("{judge: ensemble, of: [right, sme]}", "right", "there is no judge with verdicts of its own `sme`"),
        (
            "{judge: ensemble, of: [right, both]}",
            "right",
            "there is no judge with verdicts of its own `both`",
        ),
        ("{judge: ensemble, of: [file, other], aspects: [tack]}", "right", "its members share wit, tact"),
        ("{judge: ensemble, of: [right, same]}", "paid", "what is planted in an answer cannot move them"),
        (
            "{judge: ensemble, of: [right, same]}",
            "both",
            "`both` reads other judges' verdicts and no answers: probe right, same",
        ),
    ],
)
def test_what_cannot_be_brought_together_is_reported_before_anything_runs(
    both: str, probed: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as refused:
        load(write(tmp_path, both, probed))
    (problem,) = refused.value.problems
    assert says in str(problem)
    assert f"study.yaml:{23 if probed == 'right' else 25}:" in str(problem)


def steps(spec: Path) -> dict[tuple[str, str], JudgeStep]:
    """(method, judge) -> its step."""
    loaded = load(spec)
    plan = compile(loaded.experiment, Fingerprints(), loaded.origin)
    return {
        (cell.method, judge): cast(JudgeStep, plan.steps[made.step])
        for cell in plan.study.cells
        for judge, made in cell.judges.items()
    }


def test_who_reads_comparisons_compares_the_same_answers_and_has_nothing_to_say_where_there_are_none(
    tmp_path: Path,
) -> None:
    found = steps(write(tmp_path, "{judge: ensemble, of: [duel, jury]}"))
    assert ("zero", "duel") not in found
    assert ("zero", "both") not in found
    assert found["three", "both"].against == found["three", "duel"].against != {}
    assert set(found["three", "both"].verdicts) == {"duel", "jury"}


def test_the_shared_aspects_of_a_studys_own_rubric_are_filled_in_by_the_plan(tmp_path: Path) -> None:
    found = steps(write(tmp_path, "{judge: ensemble, of: [file, other]}"))
    (both,) = found["zero", "both"].judges.values()
    assert both.aspects == ("wit", "tact")  # type: ignore[attr-defined]


def test_a_plan_describes_every_judge_and_an_ensemble_has_the_scale_of_its_members(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "{judge: ensemble, of: [file, other]}"))
    described = {
        judge.name: judge for judge in compile(loaded.experiment, Fingerprints(), loaded.origin).study.judges
    }
    assert list(described) == ["right", "same", "long", "duel", "jury", "file", "other", "paid", "both"]
    assert described["both"].scales == described["file"].scales == {"wit": (1, 2), "tact": (1, 2)}
    assert (described["right"].scales, described["right"].checked_against) == (
        {"contains": (0, 1)},
        "answers",
    )
    assert (described["long"].role, described["long"].scales) == ("measure", {"length": None})
    assert described["paid"].scales == {"recorded": None}
    assert described["duel"].opinion == "the opinion of a model, j"


def test_a_rubric_has_the_same_levels_in_every_language(tmp_path: Path) -> None:
    spec = write(tmp_path, "{judge: ensemble, of: [right, same]}")
    spec.write_text(
        spec.read_text("utf-8")
        .replace('["en"]', '["en", "fr"]')
        .replace(
            "other: {judge: rubric, rubric: {file: mine.yaml}",
            "other: {judge: rubric, instructions_language: item, rubric: {file: '{language}.yaml'}",
        ),
        "utf-8",
    )
    (tmp_path / "en.yaml").write_text(RUBRIC, "utf-8")
    (tmp_path / "fr.yaml").write_text(RUBRIC.replace("[rude, kind]", "[rude, so, kind]"), "utf-8")
    with pytest.raises(
        SpecError, match="scale for `tact` differs between languages \\(en: from 1 to 2, fr: from 1 to 3\\)"
    ):
        load(spec)
