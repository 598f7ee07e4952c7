"""In which order prompts are taken."""

from collections.abc import Sequence

from runners.inference.prefix_cache import PrefixNode


def longest_first(prompts: Sequence[tuple[int, ...]], placed: Sequence[PrefixNode]) -> list[int]:
    """Places of the prompts, longest first; those behind one stretch of prefix stay together.

    So rows of similar length stand side by side, and a batch too large for memory is the first.
    """
    longest: dict[int, int] = {}
    for prompt, below in zip(prompts, placed, strict=True):
        longest[id(below)] = max(longest.get(id(below), 0), len(prompt))
    return sorted(
        range(len(prompts)), key=lambda at: (-longest[id(placed[at])], id(placed[at]), -len(prompts[at]))
    )
