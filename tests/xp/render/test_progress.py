import io
from pathlib import Path

import pytest
from rich.console import Console

from dsl.data.records import Outcome
from dsl.plan.diff import Diff
from runners.execution.events import Ended, Event, Progress, Skipped, Started
from tests.xp.small_study import diff_of, write_study
from xp.render import progress
from xp.render.labels import labels_of
from xp.render.progress import in_words, shown


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


def test_without_a_terminal_there_is_a_line_for_each_start_and_end(
    planned: Diff, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    out = io.StringIO()
    data, generate, judge = planned.todo
    with shown(planned, Console(file=out, width=60)) as watch:
        for event in a_run(planned):
            now += 5.0
            watch(event)
    assert out.getvalue().splitlines() == [
        f"[0/3] {data} en.jsonl en: begun",
        f"[1/3] {data} en.jsonl en: done, 20 rows in 0.2 s",
        f"[1/3] {generate} zero_shot echo: sums en: begun",
        f"[1/3] {generate} zero_shot echo: sums en: 9 of 20, 1.0 a second, 11.0 s left",
        f"[2/3] {generate} zero_shot echo: sums en: failed after 2:05: out of memory \\x1b[31m[bold]",
        f"[3/3] {judge} correct of zero_shot echo: sums en: skipped, {generate} failed",
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
    ] == [
        "[0/3]begun",
        "[0/3]interrupted after 4.0 s: lost with the node a7",
        "[0/3]begun",
        "[1/3]done, 20 rows in 0.2 s",
    ]


def test_on_a_terminal_what_failed_stays_and_what_is_done_goes(planned: Diff) -> None:
    out = io.StringIO()
    with shown(planned, Console(file=out, width=150, force_terminal=True, color_system=None)) as watch:
        for event in a_run(planned):
            watch(event)
    text = out.getvalue()
    assert "failed after 2:05: out of memory \\x1b[31m[bold]" in text
    assert f"skipped, {planned.todo[1]} failed" in text
    assert "done, 20 rows" not in text
    assert "3/3" in text
    assert "\x1b[31m" not in text


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
            "done, 3 rows in 59.9 s",
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
