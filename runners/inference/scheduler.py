"""Batched decoding with a causal language model: tokenised prompts in, finished rows out, as they finish.

Rows are taken longest first, and the place of a row that finished goes to the next one. What prompts begin
with alike is read once and attended to by all of them (`packed`), where the model allows it. In float32,
greedy tokens are the same for any batch size, with shared prefixes or without: sums are then added in another
order, which moves a logit in its sixth digit or so, and only a tie that close could fall otherwise. In
bfloat16 such ties are common.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from runners.inference.batch_model import BatchModel
from runners.inference.next_token import Sampling, next_tokens
from runners.inference.order import longest_first
from runners.inference.stop_strings import closing_fence, cut_at_stop
from runners.models import memory

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from runners.inference.packed import PackedRows
    from runners.inference.padded import PaddedRows
    from runners.inference.prefix_cache import PrefixNode

_STOP_MARGIN = 4
"""Tokens decoded beyond the length of a stop string: the first ones of a slice may decode differently than
within the text."""


@dataclass(frozen=True)
class Request:
    """One prompt, tokenised as a whole."""

    key: str
    token_ids: tuple[int, ...]
    stop_strings: tuple[str, ...] = ()
    seed: int | None = None
    """Needed where the temperature is above 0."""
    ends_at_fence: bool = False
    """Whether the fence that closes the answer stops it, as a stop string does."""
    room: int | None = None
    """Tokens that the model's positions leave for the answer, which ends there; None: no limit of its own."""


@dataclass(frozen=True)
class Generated:
    """One finished row."""

    key: str
    token_ids: tuple[int, ...]
    """The new tokens, without EOS, with those of the stop string."""
    raw_text: str
    """All new tokens decoded, special tokens skipped but for the marks of thinking."""
    text: str
    """`raw_text` up to the first stop, nothing before it touched."""
    finish_reason: Literal["eos", "stop", "length"]
    stop_string: str | None
    """The stop string, or the fence, that cut the text."""
    n_prompt_tokens: int
    """Padding not counted, the shared prefix counted."""
    n_new_tokens: int
    """Length of `token_ids`."""
    n_shared_tokens: int
    """Prompt tokens that were not read for this row alone."""
    seconds: float
    """The row's share of the wall time: each pass divided by the rows in it, plus the shared prefixes divided
    by all rows."""
    batch_size: int
    """Rows in the batch when it joined, itself included."""


def generate(
    reader: BatchModel, requests: Sequence[Request], sampling: Sampling, batch_size: int | None = None
) -> Iterator[Generated]:
    """Continue every request, at most `batch_size` at a time (as many as fit into memory, if None), in any
    order of finishing.

    Longest prompts are first, so that rows of similar length stand side by side and a batch too large for
    memory fails at once; it then goes on with half the rows. Prompts longer than the model's positions are
    the caller's to refuse.

    Raises ValueError for a request without tokens, with an empty stop string, or without a seed where tokens
    are drawn; FloatingPointError when logits are NaN.
    """
    if requests:
        _check(requests, sampling)
        yield from _Batch(reader, sampling, batch_size).run(requests)


@dataclass(eq=False)
class _Row:
    request: Request
    below: PrefixNode
    """What it shares with others."""
    generator: Generator | None
    seconds: float
    batch_size: int = 0
    token_ids: list[int] = field(default_factory=list[int])
    """New tokens, without EOS."""

    def text(self) -> tuple[int, ...]:
        """Prompt and answer so far."""
        return (*self.request.token_ids, *self.token_ids)

    def n_tail(self) -> int:
        """How many of the last tokens can hold a stop string that ends in the newest: a token is at least one
        byte of it."""
        return max(len(stop.encode()) for stop in self.request.stop_strings) + _STOP_MARGIN


def _check(requests: Sequence[Request], sampling: Sampling) -> None:
    for request in requests:
        if not request.token_ids:
            raise ValueError(
                f"request {request.key} has no tokens: a model without a BOS token cannot continue an empty"
                " prompt"
            )
        if "" in request.stop_strings:
            raise ValueError(f"request {request.key} has an empty stop string")
        if sampling.temperature > 0 and request.seed is None:
            raise ValueError(
                f"request {request.key} has no seed, and temperature {sampling.temperature} draws tokens"
            )


class _Batch:
    """The rows of one call: those that wait, and those being decoded."""

    def __init__(self, reader: BatchModel, sampling: Sampling, batch_size: int | None) -> None:
        self._reader, self._sampling = reader, sampling
        self._wanted, self._most = batch_size, 0
        """Rows decoded together at most: as asked for, and as they are."""
        self._waiting: deque[_Row] = deque()
        self._going: list[_Row] = []
        self._rows: PackedRows | PaddedRows
        """What the model holds of each of `_going`, in the same order."""
        self._seen: Tensor | None = None
        """(rows, vocabulary): tokens of prompt and answer, for the repetition penalty."""

    def run(self, requests: Sequence[Request]) -> Iterator[Generated]:
        import torch

        began = time.perf_counter()
        with torch.inference_mode():
            prompts = [request.token_ids for request in requests]
            placed = self._reader.place(prompts, self._sampling.max_new_tokens)
        each = (time.perf_counter() - began) / len(requests)
        longest = max(len(prompt) - below.end for prompt, below in zip(prompts, placed, strict=True))
        self._most = self._reader.batch_size(longest + self._sampling.max_new_tokens, self._wanted)
        self._rows = self._reader.rows(self._sampling.is_plain_greedy)
        for at in longest_first(prompts, placed):
            request = requests[at]
            drawn = self._sampling.temperature > 0 and request.seed is not None
            generator = torch.Generator().manual_seed(request.seed) if drawn else None
            self._waiting.append(_Row(request, placed[at], generator, each))
        while self._waiting or self._going:
            try:
                with torch.inference_mode():
                    done = self._advance()
            except RuntimeError as error:
                if not memory.is_exhausted(error) or len(self._going) == 1:
                    raise
                self._step_down()
            else:
                yield from done

    def _advance(self) -> list[Generated]:
        """One pass of the model: over rows that join if there is room, else over one token of each row.
        Returns what finished."""
        began = time.perf_counter()
        room = self._most - len(self._going)
        if self._waiting and room > 0 and (self._rows.refills or not self._going):
            rows = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
            self._going += rows
            for row in rows:
                row.batch_size = len(self._going)
            logits = self._rows.add([(row.below, row.text()) for row in rows])
            self._mark_seen(rows)
        else:
            rows = self._going
            logits = self._rows.step([row.token_ids[-1] for row in rows])
        seen = None if self._seen is None else self._seen[-len(rows) :]
        chosen = next_tokens(logits, seen, self._sampling, [row.generator for row in rows])
        if seen is not None:
            seen.scatter_(1, chosen[:, None], True)
        ends = [self._append(row, token) for row, token in zip(rows, chosen.tolist(), strict=True)]
        elapsed = (time.perf_counter() - began) / len(rows)
        for row in rows:
            row.seconds += elapsed
        first = len(self._going) - len(rows)
        done = {first + at: end for at, end in enumerate(ends) if end}
        finished = [self._finish(self._going[at], end) for at, end in done.items()]
        if done:
            order = self._rows.drop(set(done))
            self._going = [self._going[at] for at in order]
            self._seen = None if self._seen is None else self._seen[order]
        return finished

    def _mark_seen(self, rows: Sequence[_Row]) -> None:
        if self._sampling.repetition_penalty == 1:
            return
        import torch

        model = self._reader.model
        seen = torch.zeros(
            len(rows),
            model.config.get_text_config(decoder=True).vocab_size,
            dtype=torch.bool,
            device=model.device,
        )
        for line, row in zip(seen, rows, strict=True):
            line[list(row.text() if self._sampling.penalize_prompt else row.token_ids)] = True
        self._seen = seen if self._seen is None else torch.cat([self._seen, seen])

    def _step_down(self) -> None:
        """Go on with half the rows at a time; those being decoded are read again, each with its answer so
        far."""
        self._most = len(self._going) // 2
        self._waiting.extendleft(reversed(self._going))
        self._going, self._seen = [], None
        self._rows = self._reader.rows(self._sampling.is_plain_greedy)
        memory.give_back()

    def _append(self, row: _Row, token: int) -> Literal["eos", "stop", "length"] | None:
        """Give the row its next token; why it ends there, or None."""
        if token in self._reader.eos_ids:
            return "eos"
        row.token_ids.append(token)
        if self._is_stopped(row):
            return "stop"
        room = row.request.room
        most = self._sampling.max_new_tokens if room is None else min(self._sampling.max_new_tokens, room)
        return "length" if len(row.token_ids) == most else None

    def _is_stopped(self, row: _Row) -> bool:
        """Whether a stop string, or the line of the fence that closes the answer, ends in the newest
        token."""
        stops = row.request.stop_strings
        # Cheap first: the last tokens only. The whole text decides.
        if (
            stops
            and cut_at_stop(self._decode(row.token_ids[-row.n_tail() :]), stops)[1]
            and cut_at_stop(self._decode(row.token_ids), stops)[1]
        ):
            return True
        if not row.request.ends_at_fence or "\n" not in self._decode(row.token_ids[-1:]):
            return False
        whole_lines = self._decode(row.token_ids).rpartition("\n")[0]  # an info string may yet follow a fence
        return closing_fence(whole_lines) is not None

    def _finish(self, row: _Row, end: Literal["eos", "stop", "length"]) -> Generated:
        raw_text = self._decode(row.token_ids)
        text, stop = cut_at_stop(raw_text, row.request.stop_strings, ends_at_fence=row.request.ends_at_fence)
        return Generated(
            key=row.request.key,
            token_ids=tuple(row.token_ids),
            raw_text=raw_text,
            text=text,
            # A stop string with special tokens inside it may be found only here, in the whole text.
            finish_reason="stop" if stop else end,
            stop_string=stop,
            n_prompt_tokens=len(row.request.token_ids),
            n_new_tokens=len(row.token_ids),
            n_shared_tokens=row.below.end,
            seconds=row.seconds,
            batch_size=row.batch_size,
        )

    def _decode(self, token_ids: Sequence[int]) -> str:
        return self._reader.decode(token_ids)
