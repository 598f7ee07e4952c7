"""A benchmark's line says whether what was promised was reached."""

import pytest

from benchmarks.__main__ import result_line, table
from benchmarks.measured import Measured, within


@pytest.mark.parametrize(
    ("ours", "baseline", "target", "is_least", "met"),
    [
        (600, 100, 6, True, True),
        (599, 100, 6, True, False),
        (1.9, 1, 2, False, True),
        (2.1, 1, 2, False, False),
    ],
)
def test_a_mark_is_the_least_or_the_most_that_the_ratio_may_be(
    ours: float, baseline: float, target: float, is_least: bool, met: bool
) -> None:
    assert Measured("x", ours, baseline, "the peer", "tokens/s", target, is_least).met == met


def test_a_row_holds_what_is_written_down() -> None:
    row = within("xp --help", 0.25, 0.5).row()
    assert row == {
        "name": "xp --help",
        "ours": 0.25,
        "baseline": 0.5,
        "against": "the limit",
        "unit": "s",
        "ratio": 0.5,
        "target": 1.0,
        "is_least": False,
        "met": True,
    }


def test_a_figure_that_promises_nothing_is_neither_reached_nor_missed() -> None:
    row = Measured("x", 3.0, 2.0, "ours in float32", "tokens/s", None, is_least=True).row()
    assert (row["ratio"], row["target"], row["met"]) == (1.5, None, None)


def test_a_peer_that_is_not_here_is_named_as_not_measured() -> None:
    one = Measured("x", 3.0, None, "vLLM, where `XP_VLLM` names it", "tokens/s", 1.0, is_least=True)
    assert (one.ratio, one.met) == (None, None)
    assert result_line(one) == "x: 3 tokens/s, vLLM, where `XP_VLLM` names it: not measured"
    assert table([one.row() | {"date": "2026-11-30"}]).splitlines()[-1] == (
        "| x | 3 tokens/s | vLLM, where `XP_VLLM` names it: not measured |  | ≥ 1 |  | 2026-11-30 |"
    )
