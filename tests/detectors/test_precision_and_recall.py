"""Detectors of critical errors on texts labelled by reading.

`python -m tests.detectors` prints the numbers with intervals.
"""

from collections import Counter
from functools import cache

import pytest

from tests.detectors.__main__ import errors, table
from tests.detectors.measure import DETECTORS, LANGUAGES, Labelled, Measure, alarms, labelled, measure, share

FLOORS = {
    # precision and recall, a little below what was measured on all texts
    ("code", "en"): (0.95, 0.90),
    ("code", "es"): (0.95, 0.93),
    ("code", "fr"): (0.95, 0.90),
    ("empty", "en"): (0.95, 0.95),
    ("empty", "es"): (0.95, 0.95),
    ("empty", "fr"): (0.95, 0.95),
    ("language", "en"): (0.91, 0.95),
    ("language", "es"): (0.95, 0.95),
    ("language", "fr"): (0.92, 0.95),
    ("loop", "en"): (0.95, 0.90),
    ("loop", "es"): (0.95, 0.85),
    ("loop", "fr"): (0.95, 0.82),
    ("prompt_echo", "en"): (0.95, 0.88),
    ("prompt_echo", "es"): (0.95, 0.91),
    ("prompt_echo", "fr"): (0.95, 0.92),
    ("refusal", "en"): (0.95, 0.92),
    ("refusal", "es"): (0.90, 0.90),
    ("refusal", "fr"): (0.95, 0.88),
    ("truncated", "en"): (0.95, 0.92),
    ("truncated", "es"): (0.92, 0.95),
    ("truncated", "fr"): (0.92, 0.95),
}
MOST_ABSTAINED = 0.25
"""The share of the texts with the error on which a detector may abstain."""

EACH = pytest.mark.parametrize(
    ("detector", "language"), [(detector, language) for detector in DETECTORS for language in LANGUAGES]
)


@EACH
def test_precision_and_recall_stay_above_their_floors(detector: str, language: str) -> None:
    found = _measured(detector, language)
    least_precision, least_recall = FLOORS[detector, language]
    told = f"{detector} {language}: precision {share(found.precision)}, recall {share(found.recall)}, {found}"
    (hits, n_alarms), (_, n_judged) = found.precision, found.recall
    assert hits >= least_precision * n_alarms, told
    assert hits >= least_recall * n_judged, told


@EACH
def test_a_detector_judges_most_of_the_texts_with_the_error(detector: str, language: str) -> None:
    found = _measured(detector, language)
    assert found.abstained_with_error <= MOST_ABSTAINED * found.n_with_error, found


@EACH
def test_a_set_is_large_enough_in_each_language_and_in_both_halves(detector: str, language: str) -> None:
    least = 40 if detector in ("loop", "language", "code") else 25
    texts = [text for text in labelled(detector) if text.language == language]
    assert sum(text.has_error for text in texts) >= least
    assert sum(not text.has_error for text in texts) >= least
    halves = Counter((text.half, text.has_error) for text in texts)
    assert len(halves) == 4
    assert min(halves.values()) >= least // 4


@pytest.mark.parametrize("detector", DETECTORS)
def test_no_text_is_there_twice(detector: str) -> None:
    seen = Counter(
        (text.language, text.instruction, text.finish_reason, text.text) for text in labelled(detector)
    )
    assert not [text for text, n in seen.items() if n > 1]


def test_every_floor_has_its_texts() -> None:
    assert {detector for detector, _ in FLOORS} == set(DETECTORS)


def test_an_abstention_is_neither_right_nor_wrong() -> None:
    texts = [
        Labelled("loop", "en", str(n), "?", "eos", has_error)
        for n, has_error in enumerate((True, True, True, False, False, False))
    ]
    found = measure(texts, [True, False, None, True, False, None])
    assert found == Measure(
        hits=1, false_alarms=1, misses=1, passes=1, abstained_with_error=1, abstained_without=1
    )
    assert (found.precision, found.recall, found.n_with_error, found.n_without) == ((1, 2), (1, 2), 3, 3)
    assert share((9, 10)) == "0.90 [0.60, 0.98]"
    assert share((0, 0)) == "-"


def test_the_table_has_a_line_for_each_language_and_half() -> None:
    lines = table(("empty",)).splitlines()
    assert [line.split()[0] for line in lines] == ["detector"] + ["empty"] * 9


def test_errors_are_shown_of_the_tune_half_only() -> None:
    wrong = errors("loop")
    assert wrong
    held_out = [text for text in labelled("loop") if text.half == "held out"]
    assert not [text for text in held_out if repr(text.text) in wrong]


@cache
def _measured(detector: str, language: str) -> Measure:
    texts = [text for text in labelled(detector) if text.language == language]
    return measure(texts, alarms(detector, texts))
