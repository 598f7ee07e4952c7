"""Loops split by cause: did the model repeat itself, did it never end, or both?"""

import pytest
from scipy import stats

from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker

ENDED, CUT, LONG, UNKNOWN = (
    "repeats and ended",
    "repeats until the limit",
    "no repeats, but never ended",
    "repeats, end not recorded",
)


def test_each_way_of_going_wrong_has_its_share_of_the_answers(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={"loop": {"1": 0.0, "2": 0.0, "3": 0.0, "4": 1.0, "5": 1.0, "6": 0.0}},
        finish_reason={"1": "length", "2": "length", "3": "eos", "4": "length", "5": "eos", "6": "stop"},
    )
    maker.study()
    rows = {row["cause"]: row for row in ask("from loops_by_cause")}
    assert {cause: (row["share"], row["n"], row["n_unscored"]) for cause, row in rows.items()} == {
        CUT: (pytest.approx(2 / 6), 6, 0),
        ENDED: (pytest.approx(2 / 6), 6, 0),
        LONG: (pytest.approx(1 / 6), 6, 0),
    }
    interval = stats.binomtest(2, 6).proportion_ci(0.95, method="wilson")
    assert (rows[CUT]["ci_low"], rows[CUT]["ci_high"]) == (
        pytest.approx(interval.low, abs=1e-6),
        pytest.approx(interval.high, abs=1e-6),
    )
    (loop,) = ask("from critical_errors_by_cell where error = 'loop'")
    assert rows[CUT]["share"] + rows[ENDED]["share"] == pytest.approx(loop["share"])


def test_seeds_are_averaged_within_an_item(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(seed=0, scores={"loop": {"1": 0.0, "2": 1.0}}, finish_reason={"1": "length"})
    maker.cell(seed=1, scores={"loop": {"1": 0.0, "2": 1.0}}, finish_reason={"1": "eos"})
    maker.study()
    assert {(row["cause"], row["share"], row["n"]) for row in ask("from loops_by_cause")} == {
        (CUT, 0.25, 2),
        (ENDED, 0.25, 2),
        (LONG, 0.0, 2),
    }


def test_an_answer_that_is_missing_is_unscored(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(scores={"loop": {"1": "no answer", "2": 0.0}}, texts={"1": None, "2": "a"})
    maker.cell("silent", scores={"loop": {"1": "no answer"}}, texts={"1": None})
    maker.study()
    rows = {
        (row["method"], row["cause"]): (row["share"], row["n"], row["n_unscored"], row["ci_low"])
        for row in ask("from loops_by_cause")
    }
    assert rows["icl", ENDED][:3] == (1.0, 1, 1)
    assert rows["silent", CUT] == (None, 0, 1, None)


def test_recorded_answers_do_not_say_how_they_ended(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(scores={"loop": {"1": 0.0, "2": 1.0}}, finish_reason={"1": "recorded", "2": "recorded"})
    maker.study()
    assert [(row["cause"], row["share"], row["n"]) for row in ask("from loops_by_cause")] == [
        (UNKNOWN, 0.5, 2)
    ]


def test_two_loop_judges_and_two_methods_do_not_mix(maker: StoreMaker, ask: Ask) -> None:
    maker.cell("a", scores={"strict=loop": {"1": 0.0}, "mild=loop": {"1": 1.0}, "code": {"1": 0.0}})
    maker.cell("b", scores={"strict=loop": {"1": 1.0}}, language="fr")
    maker.study()
    rows = ask(
        f"select method, measure, language, share from loops_by_cause where cause = '{ENDED}' order by all"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("a", "mild", "en", 0.0),
        ("a", "strict", "en", 1.0),
        ("b", "strict", "fr", 0.0),
    ]
