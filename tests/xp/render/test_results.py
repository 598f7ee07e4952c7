"""The summary of an apply: every error once, with a log to read, and where the report is."""

from dataclasses import replace
from pathlib import Path

from tests.xp.small_study import diff_of, write_study
from xp.attempts import Applied, Failure
from xp.render.results import applied_as_text

DOWN = [Failure(f"generate-{n:016x}", "the server is down", 2.0, Path(f"log{n}.txt")) for n in range(6)]


def test_each_error_stands_once_with_the_log_of_the_first_step_that_failed_by_it(tmp_path: Path) -> None:
    planned = diff_of(write_study(tmp_path / "study"), tmp_path / "store")
    other = Failure("judge-00000000000000aa", "out of memory", 1.0, Path("other.txt"))
    applied = Applied(3, 1, (DOWN[0], other, *DOWN[1:]), ("A note.",), Path("reports/small.html"))
    assert applied_as_text(planned, applied).splitlines() == [
        "3 steps done, 7 failed, 1 skipped because an input failed.",
        "  generate-0000000000000000 failed after 2 s: the server is down. Log: log0.txt",
        f"    so did {DOWN[1].step_id}, {DOWN[2].step_id}, {DOWN[3].step_id} and 2 more",
        "  judge-00000000000000aa failed after 1 s: out of memory. Log: other.txt",
        "A note.",
        "Report: reports/small.html",
    ]
    assert "Report" not in applied_as_text(planned, replace(applied, report=None))
