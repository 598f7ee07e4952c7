"""Well-known layouts of data and of recorded results: each is a short spec, which is planned and applied."""

from pathlib import Path

import pytest

from dsl.checks.load import load
from tests.xp.small_study import diff_of
from xp.apply import apply

LAYOUTS = Path(__file__).resolve().parents[2] / "specs" / "layouts"


@pytest.mark.parametrize("name", sorted(path.stem for path in LAYOUTS.glob("*.yaml")))
def test_a_layout_is_read_without_a_warning_and_applied_without_a_failure(name: str, tmp_path: Path) -> None:
    spec, store = LAYOUTS / f"{name}.yaml", tmp_path / "store"
    assert load(spec).warnings == ()
    applied = apply(diff_of(spec, store), store, in_process=True)
    assert applied.n_done > 0
    assert applied.failures == ()
    assert diff_of(spec, store).todo == (), "nothing is left to do"
