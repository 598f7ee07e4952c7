"""The plans of shipped specs, as a person reads them on a terminal."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from xp.api import Study

SPECS = Path(__file__).resolve().parents[3] / "specs"


@pytest.mark.parametrize(("name", "width", "height"), [("quickstart", 80, 24), ("paper", 120, 50)])
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
