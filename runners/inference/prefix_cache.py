"""Prefix cache: a tree of token runs with their keys and values.

Prompts begin alike: a preamble, then worked examples, then the question. Each run of tokens that several
prompts share is prefilled once, after the runs before it, and stays cached until its memory is needed: the
next methods, seeds and steps that ask the same model find it there (a radix tree over prompts, as in SGLang,
arXiv 2312.07104).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MIN_TOKENS = 16
"""Tokens of the shortest run that is cached."""

MIN_SAVED_TOKENS = 128
"""Tokens of prefill that caching a run must save the rows of a call: each node costs a little at every decode
step."""


@dataclass(eq=False)
class PrefixNode:
    """A run of prefix tokens after those of its parent; the root has none."""

    token_ids: tuple[int, ...] = ()
    parent: PrefixNode | None = None
    keys: Sequence[Tensor] = ()
    """One for each layer: (heads_kv, tokens, head_dim)."""
    values: Sequence[Tensor] = ()
    children: list[PrefixNode] = field(default_factory=list["PrefixNode"])
    last_use: int = 0

    @property
    def start(self) -> int:
        """Tokens of the text before this node."""
        return self.parent.end if self.parent else 0

    @property
    def end(self) -> int:
        """Tokens of the text up to the end of this node."""
        return self.start + len(self.token_ids)

    def path(self) -> list[PrefixNode]:
        """Return the nodes from the beginning of the text to this one, without the root."""
        return [*self.parent.path(), self] if self.parent else []

    def n_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))


Prefill = Callable[[PrefixNode, tuple[int, ...]], PrefixNode]
"""Prefills tokens after a prefix."""


class PrefixCache:
    """The cached prefixes, at most `max_bytes` of them, evicted least recently used first."""

    def __init__(self, prefill: Prefill, max_bytes: int) -> None:
        self._prefill, self._max_bytes = prefill, max_bytes
        self.root = PrefixNode()
        self._use = 0

    def prefixes(self, prompts: Sequence[tuple[int, ...]]) -> list[PrefixNode]:
        """Return the last node of each prompt's cached prefix, prefilling what several prompts share.

        A prefix leaves its prompt at least one token.
        """
        self._use += 1
        in_order = sorted(range(len(prompts)), key=prompts.__getitem__)
        found = dict.fromkeys(in_order, self.root)
        left = [(in_order, self.root)]
        while left:
            rows, prefix = left.pop()
            # in lexicographic order, what these two share is shared by all between them
            first, last = prompts[rows[0]], prompts[rows[-1]]
            same = min(_n_common(first, last), min(len(prompts[row]) for row in rows) - 1)
            prefix = self._extended(prefix, first[:same], len(rows))
            found.update(dict.fromkeys(rows, prefix))
            longer = [row for row in rows if len(prompts[row]) > same + 1]
            groups = [list(group) for _, group in groupby(longer, key=lambda row: prompts[row][same])]
            if len(groups) > 1 or len(longer) < len(rows):
                left += [(group, prefix) for group in groups]
        return [found[at] for at in range(len(prompts))]

    def _extended(self, prefix: PrefixNode, token_ids: tuple[int, ...], n_rows: int) -> PrefixNode:
        """Follow these tokens (from the beginning of the text) as far as they are cached, and prefill the
        rest where that pays for so many rows."""
        while prefix.end < len(token_ids) and prefix.children:
            left = token_ids[prefix.end :]
            nearest = max(prefix.children, key=lambda child: _n_common(child.token_ids, left))
            n = _n_common(nearest.token_ids, left)
            if n < len(nearest.token_ids):
                if n < MIN_TOKENS or n * n_rows < MIN_SAVED_TOKENS:
                    break
                nearest = _split(nearest, n)
            nearest.last_use = self._use
            prefix = nearest
        new = token_ids[prefix.end :]
        if (
            len(new) < MIN_TOKENS
            or len(new) * (n_rows - 1) < MIN_SAVED_TOKENS
            or not self._make_room(prefix, len(new))
        ):
            return prefix
        node = self._prefill(prefix, new)
        node.last_use = self._use
        prefix.children.append(node)
        return node

    def _make_room(self, prefix: PrefixNode, n_tokens: int) -> bool:
        """Evict nodes that this call did not use until so many tokens fit; False where they can't."""
        cached = list(_nodes(self.root))
        n_bytes = sum(node.n_bytes() for node in cached)
        bytes_per_token = n_bytes / max(1, sum(len(node.token_ids) for node in cached))
        while n_bytes + n_tokens * bytes_per_token > self._max_bytes:
            idle = [
                node
                for node in _nodes(self.root)
                if not node.children and node.last_use < self._use and node not in (prefix, self.root)
            ]
            if not idle:
                return False
            evicted = min(idle, key=lambda node: node.last_use)
            assert evicted.parent is not None
            evicted.parent.children.remove(evicted)
            n_bytes -= evicted.n_bytes()
        return True


def _nodes(root: PrefixNode) -> Iterator[PrefixNode]:
    yield root
    for child in root.children:
        yield from _nodes(child)


def _split(node: PrefixNode, n: int) -> PrefixNode:
    """Split a node in two after `n` tokens and return the first part, its parent now. Nothing is copied."""
    assert node.parent is not None
    head = PrefixNode(
        node.token_ids[:n],
        node.parent,
        [keys[:, :n] for keys in node.keys],
        [values[:, :n] for values in node.values],
        [node],
        node.last_use,
    )
    node.parent.children[node.parent.children.index(node)] = head
    node.token_ids, node.parent = node.token_ids[n:], head
    node.keys, node.values = [keys[:, n:] for keys in node.keys], [values[:, n:] for values in node.values]
    return head


def _n_common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the length of the longest common prefix."""
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
