"""What prompts begin with alike, as a tree of token ids whose keys and values are kept: preamble, then
examples, then what is asked.

Each stretch of tokens that several prompts share is read by the model once, after the stretches before it,
and stays until its memory is needed: the next methods, seeds and steps that ask the same model find it there
(a radix tree over prompts, as in SGLang, arXiv 2312.07104).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MIN_TOKENS = 16
"""The shortest stretch that is kept."""

MIN_SAVED_TOKENS = 128
"""Keeping a stretch must save the rows of a call so many tokens: each stretch costs a little at every step of
decoding."""


@dataclass(eq=False)
class PrefixNode:
    """Some tokens of a prefix, after those of its parent; the root has none."""

    token_ids: tuple[int, ...] = ()
    parent: PrefixNode | None = None
    keys: Sequence[Tensor] = ()
    """One for each layer: (heads_kv, tokens, head_dim)."""
    values: Sequence[Tensor] = ()
    children: list[PrefixNode] = field(default_factory=list["PrefixNode"])
    last_use: int = 0

    @property
    def start(self) -> int:
        """Tokens of the text before this stretch."""
        return self.parent.end if self.parent else 0

    @property
    def end(self) -> int:
        """Tokens of the text up to the end of this stretch."""
        return self.start + len(self.token_ids)

    def chain(self) -> list[PrefixNode]:
        """From the beginning of the text to this stretch, without the root."""
        return [*self.parent.chain(), self] if self.parent else []

    def n_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))


Read = Callable[[PrefixNode, tuple[int, ...]], PrefixNode]
"""Reads tokens that come after a stretch."""


class PrefixCache:
    """The stretches that are kept, at most `max_bytes` of them."""

    def __init__(self, read: Read, max_bytes: int) -> None:
        self._read, self._max_bytes = read, max_bytes
        self.root = PrefixNode()
        self._use = 0

    def place(self, prompts: Sequence[tuple[int, ...]]) -> list[PrefixNode]:
        """For each prompt the last stretch of its kept prefix, which leaves it a token of its own. Reads what
        several share."""
        self._use += 1
        in_order = sorted(range(len(prompts)), key=prompts.__getitem__)
        placed = dict.fromkeys(in_order, self.root)
        left = [(in_order, self.root)]
        while left:
            rows, below = left.pop()
            # in lexicographic order, what these two share is shared by all between them
            first, last = prompts[rows[0]], prompts[rows[-1]]
            same = min(_alike(first, last), min(len(prompts[row]) for row in rows) - 1)
            below = self._reach(below, first[:same], len(rows))
            placed.update(dict.fromkeys(rows, below))
            longer = [row for row in rows if len(prompts[row]) > same + 1]
            groups = [list(group) for _, group in groupby(longer, key=lambda row: prompts[row][same])]
            if len(groups) > 1 or len(longer) < len(rows):
                left += [(group, below) for group in groups]
        return [placed[at] for at in range(len(prompts))]

    def _reach(self, below: PrefixNode, token_ids: tuple[int, ...], n_rows: int) -> PrefixNode:
        """As far along these tokens (from the beginning of the text) as it is kept, or worth reading for so
        many rows."""
        while below.end < len(token_ids) and below.children:
            left = token_ids[below.end :]
            nearest = max(below.children, key=lambda child: _alike(child.token_ids, left))
            n = _alike(nearest.token_ids, left)
            if n < len(nearest.token_ids):
                if n < MIN_TOKENS or n * n_rows < MIN_SAVED_TOKENS:
                    break
                nearest = _split(nearest, n)
            nearest.last_use = self._use
            below = nearest
        new = token_ids[below.end :]
        if (
            len(new) < MIN_TOKENS
            or len(new) * (n_rows - 1) < MIN_SAVED_TOKENS
            or not self._has_room(below, len(new))
        ):
            return below
        stretch = self._read(below, new)
        stretch.last_use = self._use
        below.children.append(stretch)
        return stretch

    def _has_room(self, below: PrefixNode, n_tokens: int) -> bool:
        """Whether so many tokens more may be kept; what was not used in this call gives way, the longest
        unused first."""
        kept = list(_stretches(self.root))
        n_bytes = sum(stretch.n_bytes() for stretch in kept)
        a_token = n_bytes / max(1, sum(len(stretch.token_ids) for stretch in kept))
        while n_bytes + n_tokens * a_token > self._max_bytes:
            idle = [
                one
                for one in _stretches(self.root)
                if not one.children and one.last_use < self._use and one not in (below, self.root)
            ]
            if not idle:
                return False
            goes = min(idle, key=lambda one: one.last_use)
            assert goes.parent is not None
            goes.parent.children.remove(goes)
            n_bytes -= goes.n_bytes()
        return True


def _stretches(below: PrefixNode) -> Iterator[PrefixNode]:
    yield below
    for child in below.children:
        yield from _stretches(child)


def _split(stretch: PrefixNode, n: int) -> PrefixNode:
    """Cut a stretch in two after `n` tokens; the first part, in its place. Nothing is copied."""
    assert stretch.parent is not None
    head = PrefixNode(
        stretch.token_ids[:n],
        stretch.parent,
        [keys[:, :n] for keys in stretch.keys],
        [values[:, :n] for values in stretch.values],
        [stretch],
        stretch.last_use,
    )
    stretch.parent.children[stretch.parent.children.index(stretch)] = head
    stretch.token_ids, stretch.parent = stretch.token_ids[n:], head
    stretch.keys, stretch.values = (
        [keys[:, n:] for keys in stretch.keys],
        [values[:, n:] for values in stretch.values],
    )
    return head


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    """How many first tokens two texts share."""
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
