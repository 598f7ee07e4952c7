import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.judges.loop import Settings
from tests.runners.judges.answers import HOSTILE, answer, verdict

SENTENCE = "The cat was alive and the box was opened. "
PROSE = (
    "Photosynthesis turns light into chemical energy. Plants take in water through their roots and carbon"
    " dioxide through their leaves, and give back the oxygen we breathe. "
)
SONG = "\n".join(
    f"{verse}\nOh, the river runs to the sea,\nand it never comes back to me."
    for verse in (
        (
            "I was born where the hills are low,\nwhere the winters bring no snow,\nand my father tilled the"
            " land."
        ),
        "I went out when the days were long,\nwith a penny and with a song,\nand a letter in my hand.",
        (
            "Now I sit by the harbour wall,\nand I listen to the seagulls' call,\nwhile the tide goes down"
            " the strand."
        ),
    )
)
SYLLABLES = "\n".join(" ".join(letter + sign for sign in "ािीुूेैोौ") for letter in "कखगघचछजझ")
WEEK = "\n".join(f"Day {n}: run {n + 4} km and rest" for n in range(1, 8))
TABLE = "\n".join(f"7 x {n} = {7 * n}" for n in range(1, 21))
SHOPPING = "\n".join(
    f"- {thing}"
    for thing in ("eggs", "milk", "bread", "butter", "rice", "beans", "coffee", "salt", "sugar", "tea")
)


@pytest.mark.parametrize(
    "text",
    [
        "a a a a",
        "no no no no no",
        "word " * 40,
        "word" * 40,
        "是的" * 40,
        "我不知道，" * 12,
        PROSE + SENTENCE * 3,
        PROSE + SENTENCE * 3 + "The cat was",
        PROSE + (SENTENCE * 4).strip() + "\n```",
        PROSE + "\n\n".join([PROSE] * 3),
        "".join(f"Step {n}: Check the project. " for n in range(1, 40)),
        ", ".join(f"column{n}" for n in range(600)),
        PROSE + "!" * 300,
        PROSE
        + " ".join(
            f"The town is known for its {thing}."
            for thing in ("food", "art", "parks", "bridges", "food", "art", "rivers", "food")
        )
        * 2,
        "I read. "
        + "I read in the morning. I read in the evening. " * 4
        + "That is all that there is to say of my hobby.",
        "The bell of the old village church rings at dawn. " + "de la manera " * 4,
        "Start.\n"
        + "\n".join(["- A device against the light.", "- A lamp for the garden wall."] * 6)
        + "\nThe end is not a repetition.",
    ],
)
def test_a_repetition_without_end_is_a_loop(text: str) -> None:
    found = verdict(Settings(), answer(text))
    assert found.score == 0
    assert found.reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No, no, no!",
        "1111",
        "Ha ha ha!",
        PROSE,
        SONG,
        WEEK,
        TABLE,
        SHOPPING,
        SYLLABLES,
        "Title\n" + "-" * 80,
        "|---|---|---|---|---|---|",
        PROSE + SENTENCE * 2,
        (SENTENCE * 3 + PROSE * 1) + SONG,
    ],
)
def test_prose_lists_tables_and_refrains_are_no_loops(text: str) -> None:
    found = verdict(Settings(), answer(text))
    assert (found.score, found.reason) == (1, None)


def test_the_thresholds_decide() -> None:
    text = PROSE + SENTENCE * 3
    assert verdict(Settings(min_repeats=4), answer(text)).score == 1
    assert verdict(Settings(min_characters=len(text)), answer(text)).score == 1
    slots = " ".join(
        f"The town is known for its {thing}."
        for thing in ("food", "art", "parks", "rivers", "bridges", "cakes")
    )
    assert verdict(Settings(), answer(slots)).score == 0
    assert verdict(Settings(max_repeated_words=0.9), answer(slots)).score == 1
    assert verdict(Settings(), answer(SONG + slots)).score == 1
    assert verdict(Settings(last_words=30), answer(SONG + slots)).score == 0


@settings(deadline=None)
@given(st.text(alphabet="abc de.", min_size=10, max_size=60), st.integers(6, 20), st.integers(0, 9))
def test_any_unit_said_often_enough_is_a_loop_wherever_it_is_cut(unit: str, times: int, cut: int) -> None:
    if any(map(str.isalpha, unit)) and len(" ".join(unit.split())) * times > 140:
        text = unit * times
        assert verdict(Settings(), answer(PROSE + text[: len(text) - cut])).score == 0


@settings(deadline=None)
@given(st.text())
def test_any_text_gets_a_score(text: str) -> None:
    assert verdict(Settings(), answer(text)).score in (0, 1)


@pytest.mark.parametrize("text", [*HOSTILE, "ab" * 200_000, "(" * 200_000, "\n" * 100_000, "x\n" * 100_000])
def test_hostile_text_is_judged_in_no_time(text: str) -> None:
    began = time.process_time()
    assert verdict(Settings(), answer(text)).score is not None
    assert time.process_time() - began < 2
