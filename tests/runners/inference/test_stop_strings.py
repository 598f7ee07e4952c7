import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.inference.stop_strings import closing_fence, cut_at_stop


@given(st.text("ab# \n", max_size=30), st.lists(st.text("ab# \n", min_size=1, max_size=4), max_size=4))
def test_cutting_takes_the_earliest_stop_string_and_of_several_the_longest(text: str, stops: list[str]):
    places = [at for at in range(len(text)) if any(text.startswith(stop, at) for stop in stops)]
    if not places:
        assert cut_at_stop(text, stops) == (text, None)
    else:
        longest = max((stop for stop in stops if text.startswith(stop, places[0])), key=len)
        assert cut_at_stop(text, stops) == (text[: places[0]], longest)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Paris.\n```\n\n# Question:\n```\nWhy?", "Paris.\n"),
        ("Paris.\n```", "Paris.\n"),
        ("Paris.\n``` \r\nmore", "Paris.\n"),
        ("Look:\n```python\nprint(1)\n```\nSo.\n```\n# Query", "Look:\n```python\nprint(1)\n```\nSo.\n"),
        ("```python\n```js\n1\n```\n2\n```\n3\n```\n4", "```python\n```js\n1\n```\n2\n```\n3\n"),
        ("````markdown\n```\n````\nSo.\n```\n", "````markdown\n```\n````\nSo.\n"),
        ("~~~\n1\n~~~\nSo.\n```\n", "~~~\n1\n~~~\nSo.\n"),
        ("  ```\n", ""),
        ("    ```\n", None),
        ("Write ```this``` or\n```this``` and\n``\n", None),
        ("Paris.```\n", None),
        ("```python\nprint(1)\n```", None),
        ("", None),
    ],
)
def test_an_answer_in_an_open_fence_ends_where_that_is_closed(text: str, answer: str | None):
    assert cut_at_stop(text, (), ends_at_fence=True) == ((text, None) if answer is None else (answer, "```"))
    assert cut_at_stop(text, ()) == (text, None)


def test_the_fence_and_the_stop_strings_stop_an_answer_whichever_is_first():
    assert cut_at_stop("a # b\n```\n", ("#",), ends_at_fence=True) == ("a ", "#")
    assert cut_at_stop("a\n```\n# b", ("#",), ends_at_fence=True) == ("a\n", "```")


@given(st.lists(st.sampled_from(["a", "```", "```x", "~~~", "````", ""]), max_size=12), st.integers(0, 12))
def test_the_fence_that_closes_an_answer_is_the_same_when_more_lines_follow(lines: list[str], n: int):
    first, whole = "\n".join(lines[:n]), "\n".join(lines)
    if (found := closing_fence(first)) is not None:
        again = closing_fence(whole)
        assert again is not None
        assert again.start() == found.start()
