"""Stop strings and closing fences, which end an answer by its text, here and on servers."""

import re
from collections.abc import Sequence

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\n]*?)[ \t\r]*$", re.MULTILINE)


def cut_at_stop(
    text: str, stop_strings: Sequence[str], *, ends_at_fence: bool = False
) -> tuple[str, str | None]:
    """Return the text before the first stop string in it, and that stop string; of several there, the
    longest.

    `ends_at_fence`: the answer is in a fence that the prompt left open, and the fence that closes it is a
    stop string too.
    """
    found = [(text.index(stop), -len(stop), stop) for stop in stop_strings if stop in text]
    if ends_at_fence and (fence := closing_fence(text)) is not None:
        found.append((fence.start(), -len(fence[1]), fence[1]))
    if not found:
        return text, None
    at, _, stop = min(found)
    return text[:at], stop


def closing_fence(text: str) -> re.Match[str] | None:
    """Return the line that closes a fence of three backticks opened before the text; its first group is the
    fence.

    A fence with an info string opens a block, a bare one closes the innermost open one, if it is of the same
    character and as long (CommonMark 0.31, 4.5).
    """
    blocks = ["```"]
    for line in _FENCE.finditer(text):
        mark, info = line.groups()
        if info and mark[0] == "`" and "`" in info:
            continue  # inline code, as ```this```
        if info or mark[0] != blocks[-1][0]:
            blocks.append(mark)
        elif len(mark) >= len(blocks[-1]):
            blocks.pop()
            if not blocks:
                return line
    return None
