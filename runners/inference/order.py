"""Order of prefill."""

from collections.abc import Sequence

from runners.inference.prefix_cache import PrefixNode


def longest_first(prompts: Sequence[tuple[int, ...]], prefixes: Sequence[PrefixNode]) -> list[int]:
    """Return the prompts' indices, longest first; prompts with one cached prefix stay together.

    So a batch holds rows of similar length, and a batch too large for memory is the first.
    """
    longest: dict[int, int] = {}
    for prompt, prefix in zip(prompts, prefixes, strict=True):
        longest[id(prefix)] = max(longest.get(id(prefix), 0), len(prompt))
    return sorted(
        range(len(prompts)),
        key=lambda at: (-longest[id(prefixes[at])], id(prefixes[at]), -len(prompts[at])),
    )
