"""The plans of shipped specs, as a person reads them on a terminal."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.xp.small_study import write_study
from xp.api import Study
from xp.plan.rows import Rows
from xp.render.estimates import estimate_columns, estimate_sentences
from xp.render.plan import COLUMNS, plan_as_text
from xp.render.steps import steps_as_text

SPECS = Path(__file__).resolve().parents[3] / "specs"


@pytest.mark.parametrize(
    ("name", "width", "height"), [("quickstart", 80, 24), ("quickstart", 74, 26), ("paper", 120, 50)]
)
def test_a_plan_fits_a_terminal(
    name: str, width: int, height: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SPECS.parent)
    planned = Study(Path("specs") / f"{name}.yaml", tmp_path / "none").plan()
    lines = planned.as_text(width).splitlines()
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    n = len(planned.diff.plan.steps)
    assert f"{n} steps: 0 done, {n} to run" in lines[1]
    assert any("Estimated by" in line for line in lines)
    assert sum(len(line.steps) for line in planned.overview.lines) == n


def test_verdicts_on_answers_that_are_not_made_yet_are_at_most_as_many_as_planned(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path, n_items=3), tmp_path / "store")
    planned = study.plan()
    assert re.search(r" 6/6 +≤6/6 ", planned.as_text())
    assert "≤ at most: equal rows are reused" in planned.as_text()
    assert [line.verdicts.is_most for line in planned.published.lines] == [False, True]


def test_each_line_has_the_whole_estimate_and_a_wide_terminal_more_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SPECS.parent)
    planned = Study(Path("specs") / "quickstart.yaml", tmp_path / "none").plan()
    lines = {line.method: line.estimate for line in planned.published.lines if line.estimate is not None}
    whole = planned.estimates.total()
    for name in ("n_requests", "n_prompt_tokens", "n_new_tokens", "n_train_steps", "usd", "n_steps"):
        assert sum(getattr(one, name) for one in lines.values()) == getattr(whole, name)
    assert sum(one.seconds for one in lines.values()) == pytest.approx(whole.seconds)
    assert max(one.peak_memory_bytes for one in lines.values()) == whole.peak_memory_bytes
    assert lines["sft"].n_train_steps == 24
    heads = [planned.as_text(width).splitlines()[2].split() for width in (None, 120, 80)]
    rows, wide = ["training", "answers", "verdicts", "requests"], ["tokens", "in", "tokens", "out"]
    assert [head[4:] for head in heads] == [
        [*rows, *wide, "train", "steps", "time"],
        [*rows, *wide, "train", "steps", "time"],
        [*rows, "tokens", "time"],
    ]
    steps = steps_as_text(planned.diff, estimates=planned.estimates)
    assert re.search(r"\n  sft-\w+  .*: 24 training steps, \d+ s, [\d.]+ GB\n", steps)
    assert re.search(r"\n  generate-\w+  .*: 16 requests, \d+ tokens in, \d+ out, \d+ s, [\d.]+ GB\n", steps)


@pytest.mark.parametrize(("languages", "made"), [(("en",), Rows(6, 3)), (("en", "fr"), Rows(12, 6, True))])
def test_an_added_judge_makes_as_many_verdicts_as_planned_where_no_other_answers_may_be_equal(
    languages: tuple[str, ...], made: Rows, tmp_path: Path
) -> None:
    study = Study(write_study(tmp_path, languages=languages, n_items=3), tmp_path / "store")
    study.apply(in_process=True, report=False)
    judged = json.loads(study.spec.read_text("utf-8"))
    judged["judges"]["length"] = {"judge": "length"}
    study.spec.write_text(json.dumps(judged), "utf-8")
    again = study.plan()
    assert [line.verdicts for line in again.published.lines][1:] == [made]
    assert ("≤" in again.as_text()) == made.is_most


@pytest.mark.parametrize("width", range(24, 60, 4))
def test_a_narrow_terminal_breaks_no_option_and_no_name(width: int, tmp_path: Path) -> None:
    planned = Study(write_study(tmp_path), tmp_path / "a-store").plan()
    columns = (*COLUMNS, *estimate_columns(planned.estimates))
    estimated = tuple(estimate_sentences(planned.diff, planned.estimates))
    whole, broken = (
        plan_as_text(planned.overview, planned.power, columns, estimated, at).partition("\n")[2]
        for at in (None, width)
    )
    assert {*re.findall(r"\S+", whole)} == {*re.findall(r"\S+", broken)}


def test_a_line_break_in_a_name_makes_no_line(tmp_path: Path) -> None:
    planned = Study(write_study(tmp_path), tmp_path / "store").plan()
    forged = ("of a\nforged line",)
    overview = replace(
        planned.overview, diff=replace(planned.diff, warnings=forged, chosen=forged, reach=forged)
    )
    for text in (plan_as_text(overview), steps_as_text(overview.diff)):
        assert text.count("of a forged line") == 3
        assert "\nforged" not in text
