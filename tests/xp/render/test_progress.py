import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from dsl.data.records import Outcome
from dsl.plan.diff import Diff
from runners.execution.events import Awaited, Ended, Event, Progress, Shared, Skipped, Started
from tests.fixtures.tiny_study import TINY
from tests.xp.small_study import diff_of, write_study
from xp.render import progress
from xp.render.labels import groups_of, labels_of
from xp.render.pace import Pace
from xp.render.progress import Groups, in_words, shown


@pytest.fixture
def planned(tmp_path: Path) -> Diff:
    return diff_of(write_study(tmp_path / "study", languages=("en",)), tmp_path / "store")


def a_run(planned: Diff) -> list[Event]:
    data, generate, judge = planned.todo
    return [
        Started(data, "2026-01-02T03:04:05+00:00", 7),
        Ended(
            data,
            "2026-01-02T03:04:05+00:00",
            7,
            0.2,
            "done",
            outcome=Outcome(step_id=data, seconds=0.2, n_rows=20),
        ),
        Started(generate, "2026-01-02T03:04:06+00:00", 7),
        Progress(generate, 4, 20),
        Progress(generate, 9, 20),
        Ended(
            generate, "2026-01-02T03:04:06+00:00", 7, 125.0, "failed", error="out of memory \x1b[31m[bold]"
        ),
        Skipped(judge, f"{generate} failed"),
    ]


def test_a_step_is_called_by_what_it_is_for(planned: Diff) -> None:
    data, generate, judge = planned.todo
    assert labels_of(planned) == {
        data: "en.jsonl en",
        generate: "zero_shot echo: sums en",
        judge: "correct of zero_shot echo: sums en",
    }


def test_without_a_terminal_there_is_one_line_a_step_and_why_it_failed_is_left_to_the_summary(
    planned: Diff,
) -> None:
    out = io.StringIO()
    data, generate, judge = planned.todo
    with shown(planned, Console(file=out, width=60)) as watch:
        for event in a_run(planned):
            watch(event)
    assert out.getvalue().splitlines() == [
        f"[1/3] {data} en.jsonl en: done, 20 rows in 0.2 s",
        f"[2/3] {generate} zero_shot echo: sums en: failed after 2:05 min",
        f"[3/3] {judge} correct of zero_shot echo: sums en: skipped, {generate} failed",
    ]


def test_a_step_that_takes_long_has_a_line_a_minute_with_the_time_left(
    planned: Diff, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    out = io.StringIO()
    _, generate, _ = planned.todo
    with shown(planned, Console(file=out, width=60)) as watch:
        watch(Started(generate, "2026-01-02T03:04:06+00:00", 7))
        watch(Progress(generate, 0, 100))
        for done in range(1, 16):
            now += 10.0
            watch(Progress(generate, done, 100))
    assert [line.partition(" en: ")[2].partition(";")[0] for line in out.getvalue().splitlines()] == [
        "6 of 100",
        "12 of 100",
    ]


def test_an_attempt_that_was_lost_with_its_node_is_reported_and_the_step_counted_once(planned: Diff) -> None:
    out = io.StringIO()
    data, *_ = planned.todo
    with shown(planned, Console(file=out, width=60)) as watch:
        watch(Started(data, "2026-01-02T03:04:05+00:00", 7))
        watch(Ended(data, "2026-01-02T03:04:05+00:00", 7, 4.0, "interrupted", error="lost with the node a7"))
        watch(Started(data, "2026-01-02T03:04:09+00:00", 9))
        watch(
            Ended(
                data,
                "2026-01-02T03:04:09+00:00",
                9,
                0.2,
                "done",
                outcome=Outcome(step_id=data, seconds=0.2, n_rows=20),
            )
        )
    assert [
        line.partition("en: ")[0][:5] + line.partition(" en: ")[2] for line in out.getvalue().splitlines()
    ] == ["[0/3]interrupted after 4.0 s: lost with the node a7", "[1/3]done, 20 rows in 0.2 s"]


def lines_on_a_terminal(planned: Diff, events: list[Event], height: int = 24) -> list[str]:
    """The screen after these events, without its bars."""
    console = Console(file=io.StringIO(), width=80, height=height, force_terminal=True, color_system=None)
    groups = Groups(console, Pace(planned, lambda: 0.0), groups_of(planned))
    for event in events:
        groups.show(event)
    with console.capture() as shown_:
        console.print(groups.render())
    assert all(len(line) <= 80 for line in shown_.get().splitlines())
    return [" ".join(re.sub("[━╸╺]", "", line).split()) for line in shown_.get().splitlines()]


def test_on_a_terminal_there_is_a_line_for_each_method_and_language_with_what_it_is_at(planned: Diff) -> None:
    events = a_run(planned)
    assert lines_on_a_terminal(planned, [])[:3] == [
        "data waiting",
        "zero_shot en waiting",
        "all 0/3 steps",
    ]
    assert lines_on_a_terminal(planned, events[:5])[:3] == [
        "data done",
        "zero_shot en answering 9/20",
        "all 1/3 steps",
    ]
    assert lines_on_a_terminal(planned, events)[1:3] == [
        "zero_shot en 1 failed, 1 skipped",
        "all 3/3 steps",
    ]


def test_on_a_terminal_a_step_that_another_apply_makes_says_so_and_whose_it_is(planned: Diff) -> None:
    data, generate, _ = planned.todo
    events: list[Event] = [Shared(data), Awaited(generate, "process 7 on node1 (xp\x1b[31m apply)")]
    shown = lines_on_a_terminal(planned, events)
    assert any("made by another apply" in line for line in shown)
    assert "process 7 on node1" in shown[-1]
    assert "\x1b[31m" not in shown[-1]
    begun_here = lines_on_a_terminal(planned, [*events, Started(generate, "2026-01-02T03:04:06+00:00", 7)])
    assert not any("another apply" in line for line in begun_here)


def test_models_are_named_where_there_are_several_and_what_has_no_room_is_counted(tmp_path: Path) -> None:
    spec = write_study(tmp_path / "study", languages=("en", "fr"))
    study = json.loads(spec.read_text("utf-8"))
    study["models"]["other"] = {"base": {"engine": "echo", "seconds_per_row": 1.0}}
    spec.write_text(json.dumps(study), "utf-8")
    planned = diff_of(spec, tmp_path / "store")
    names = [
        "data",
        *(f"zero_shot {model} {language}" for model in ("echo", "other") for language in ("en", "fr")),
    ]
    assert [*groups_of(planned)] == names
    last = planned.todo[-2]
    begun = Started(last, "2026-01-02T03:04:06+00:00", 7)
    shown_ = lines_on_a_terminal(planned, [begun], height=6)
    assert shown_[:3] == ["data waiting", "zero_shot other fr answering", "… and 3 more"]


def test_the_load_of_a_model_is_a_state_until_the_first_new_row(tmp_path: Path) -> None:
    spec = write_study(tmp_path / "study", languages=("en", "fr"))
    study = json.loads(spec.read_text("utf-8"))
    study["models"] = {"tiny": {"base": {"path": str(TINY)}}}
    spec.write_text(json.dumps(study), "utf-8")
    planned = diff_of(spec, tmp_path / "store")
    first, second = (step_id for step_id in planned.todo if step_id.startswith("generate"))
    begun: list[Event] = [Started(first, "2026-01-02T03:04:06+00:00", 7), Progress(first, 3, 20)]
    assert lines_on_a_terminal(planned, begun)[1] == "zero_shot en loading the model"
    assert lines_on_a_terminal(planned, [*begun, Progress(first, 4, 20)])[1] == "zero_shot en answering 4/20"
    loaded: list[Event] = [*begun, Started(second, "2026-01-02T03:04:09+00:00", 7), Progress(second, 0, 20)]
    assert lines_on_a_terminal(planned, loaded)[2] == "zero_shot fr answering 0/20", "the same process"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            Ended(
                "data-0000000000000000",
                "",
                1,
                59.94,
                "done",
                Outcome(step_id="data-0000000000000000", seconds=1, n_rows=3),
            ),
            "done, 3 rows in 60 s",
        ),
        (
            Ended(
                "data-0000000000000000",
                "",
                1,
                3725.0,
                "done",
                Outcome(step_id="data-0000000000000000", seconds=1, n_rows=3, n_reused=2),
            ),
            "done, 3 rows in 1:02:05, 2 reused",
        ),
        (
            Ended("data-0000000000000000", "", 1, 3.0, "interrupted", error="interrupted"),
            "interrupted after 3.0 s",
        ),
        (
            Skipped("data-0000000000000000", "data-1111111111111111 failed"),
            "skipped, data-1111111111111111 failed",
        ),
    ],
)
def test_an_end_in_words(event: Ended | Skipped, words: str) -> None:
    assert in_words(event) == words
