"""Normalised questions: a beginning is that of the whole, whatever stands where the text is cut."""

from hypothesis import example, given
from hypothesis import strategies as st

from dsl.data.normalise import N_FIRST, N_READ, beginning, normalise

MET_AT_A_CUT = [
    *"aB7  \n-–*/().,=ςİßﬁ½¨é한글ㄱ가نِْ日。",
    *("\u0301", "\u0338", "\u00ad", "\u200d", "\ufe0f", "\u1100", "\u1161", "\u11a8", "\ufdfa", "👩", "🏽"),
]
"""Characters that mean another thing by what stands beside them, or become several, or none."""


@given(st.lists(st.sampled_from(MET_AT_A_CUT), min_size=N_READ - 20, max_size=N_READ + 40).map("".join))
@example("7 " * (N_READ // 2 - 1) + "7 -    5 is two")
@example("a" * (N_READ - 1) + "\u0301 b")
@example("!" * (N_READ - N_FIRST) + "a" * N_FIRST + "\u0301 b")
def test_a_beginning_is_that_of_the_normalised_text(text: str) -> None:
    assert beginning(text) == normalise(text)[:N_FIRST]


@given(st.text(max_size=2 * N_READ))
def test_a_beginning_of_any_text_is_that_of_the_normalised_text(text: str) -> None:
    assert beginning(text) == normalise(text)[:N_FIRST]
