"""Words of scripts that set no spaces between them, by ICU's dictionaries."""

import re
from collections.abc import Iterator

IDEOGRAPHIC = "\u3005-\u3007\u3040-\u30ff\u3100-\u31ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
"""Han and kana, for a character class: nearly every letter can be a word."""
ALPHABETIC = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
"""Thai, Lao, Burmese and Khmer, for a character class: a letter is a part of a word."""
_UNSPACED = re.compile(f"[{IDEOGRAPHIC}{ALPHABETIC}]")


def broken(run: str) -> Iterator[str]:
    """Return the words of a run of letters: itself, where its script has spaces."""
    if _UNSPACED.search(run) is None:
        yield run
        return
    from icu4py.breakers import WordBreaker

    yield from WordBreaker(run, "root")
