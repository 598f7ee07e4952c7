from hypothesis import given
from hypothesis import strategies as st

from runners.decoding.stop_strings import cut_at_stop


@given(st.text("ab# \n", max_size=30), st.lists(st.text("ab# \n", min_size=1, max_size=4), max_size=4))
def test_cutting_takes_the_earliest_stop_string_and_of_several_the_longest(text: str, stops: list[str]):
    places = [at for at in range(len(text)) if any(text.startswith(stop, at) for stop in stops)]
    if not places:
        assert cut_at_stop(text, stops) == (text, None)
    else:
        longest = max((stop for stop in stops if text.startswith(stop, places[0])), key=len)
        assert cut_at_stop(text, stops) == (text[: places[0]], longest)
