"""A part of the sweep over misbehaving servers; `python -m tests.faults.servers FOLDER` runs all of it."""

from pathlib import Path

import pytest

from tests.faults.servers import meet, serving

EXPECTED = {
    ("502 page", "one"): "error",
    ("choices object", "all"): "failed",
    ("tool call", "chat"): "missing",
    ("tokens 3.5", "chat"): "answered",
    ("redirect with the key", "one"): "error",
    ("cut off", "judge"): "error",
}


@pytest.mark.parametrize(("fault", "way"), EXPECTED)
def test_a_misbehaving_server_leaves_no_traceback_nothing_silent_and_nothing_stuck(
    fault: str, way: str, tmp_path: Path
) -> None:
    with serving() as port:
        met = meet(tmp_path / f"0-{way}", port, fault, way)
    assert met.verdict == EXPECTED[fault, way], met
