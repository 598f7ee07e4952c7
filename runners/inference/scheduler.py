"""Continuous batching: tokenised prompts in, generated rows out, as they finish.

Longest rows are first, and the slot of a finished row goes to the next one. Shared prefixes are prefilled
once and attended to by all their rows (`packed`), where the model allows it. In float32, greedy tokens are
the same for any batch size, with shared prefixes or without: another order of summation moves a logit in its
sixth digit or so, and only a tie that close could be decided otherwise. In bfloat16 such ties are common.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from runners.inference.answer_text import is_stopped
from runners.inference.batch_model import BatchModel
from runners.inference.next_token import Sampling, next_tokens
from runners.inference.order import longest_first
from runners.inference.stop_strings import cut_at_stop
from runners.inference.tensors import as_ints
from runners.models import memory
from runners.models.load_checks import text_config

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from runners.inference.packed import PackedRows
    from runners.inference.padded import PaddedRows
    from runners.inference.prefix_cache import PrefixNode

End = Literal["eos", "stop", "length"]
"""The reason why a row ended."""


@dataclass(frozen=True)
class Request:
    """One prompt, tokenised as a whole."""

    key: str
    token_ids: tuple[int, ...]
    stop_strings: tuple[str, ...] = ()
    seed: int | None = None
    """Required for a temperature above 0."""
    ends_at_fence: bool = False
    """The fence that closes the answer is a stop string too."""
    room: int | None = None
    """Tokens that the model's positions leave for the answer; None: no limit."""


@dataclass(frozen=True)
class Generated:
    """One finished row."""

    key: str
    token_ids: tuple[int, ...]
    """The new tokens, without EOS, with those of the stop string."""
    raw_text: str
    """All new tokens as text, without special tokens but those that mark thinking."""
    text: str
    """`raw_text` up to the first stop string, otherwise unchanged."""
    finish_reason: End
    stop_string: str | None
    """The stop string, or the fence, that cut the text."""
    n_prompt_tokens: int
    """With the shared prefix, without padding."""
    n_new_tokens: int
    """Length of `token_ids`."""
    n_shared_tokens: int
    """Prompt tokens of the cached prefix."""
    seconds: float
    """The row's share of the wall time: of each forward pass, divided by its rows, and of prefilling the
    prefixes, divided by all rows."""
    batch_size: int
    """Rows in the batch when this one joined, itself included."""


def generate(
    batch_model: BatchModel, requests: Sequence[Request], sampling: Sampling, batch_size: int | None = None
) -> Iterator[Generated]:
    """Yield the generated rows as they finish, with at most `batch_size` rows in a batch (as many as fit into
    memory, if None).

    Longest prompts are first, so a batch holds rows of similar length and one too large for memory fails at
    once; it then goes on with half the rows. Prompts longer than the model's positions are the caller's to
    refuse.

    Raises ValueError for a request without tokens, with an empty stop string, or without a seed for sampling;
    FloatingPointError for NaN logits.
    """
    if requests:
        _check(requests, sampling)
        yield from _Batch(batch_model, sampling, batch_size).run(requests)


@dataclass(eq=False)
class _Row:
    request: Request
    prefix: PrefixNode
    generator: Generator | None
    seconds: float
    batch_size: int = 0
    token_ids: list[int] = field(default_factory=list[int])
    """New tokens, without EOS."""

    def text(self) -> tuple[int, ...]:
        """Return prompt and answer so far."""
        return (*self.request.token_ids, *self.token_ids)


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
    """The rows of one call: waiting or running."""

    def __init__(self, batch_model: BatchModel, sampling: Sampling, batch_size: int | None) -> None:
        self._model, self._sampling = batch_model, sampling
        self._wanted, self._max_rows = batch_size, 0
        """Rows in the batch at most: as asked for, and as they fit."""
        self._waiting: deque[_Row] = deque()
        self._running: list[_Row] = []
        self._rows: PackedRows | PaddedRows
        """The model's rows of `_running`, in the same order."""
        self._seen: Tensor | None = None
        """(rows, vocabulary): tokens of prompt and answer, for the repetition penalty."""

    def run(self, requests: Sequence[Request]) -> Iterator[Generated]:
        import torch

        began = time.perf_counter()
        with torch.inference_mode():
            prompts = [request.token_ids for request in requests]
            prefixes = self._model.prefixes(prompts, self._sampling.max_new_tokens)
        each = (time.perf_counter() - began) / len(requests)
        longest = max(len(prompt) - prefix.end for prompt, prefix in zip(prompts, prefixes, strict=True))
        self._max_rows = self._model.batch_size(longest + self._sampling.max_new_tokens, self._wanted)
        self._rows = self._model.rows(self._sampling.is_plain_greedy)
        for at in longest_first(prompts, prefixes):
            request = requests[at]
            generator = None
            if self._sampling.temperature > 0 and request.seed is not None:
                generator = torch.Generator().manual_seed(request.seed)
            self._waiting.append(_Row(request, prefixes[at], generator, each))
        while self._waiting or self._running:
            try:
                with torch.inference_mode():
                    done = self._step()
            except RuntimeError as error:
                if not memory.is_exhausted(error) or len(self._running) == 1:
                    raise
                self._halve()
            else:
                yield from done

    def _step(self) -> list[Generated]:
        """Run one forward pass, a prefill of joining rows if there is room, else a decode step; return the
        finished rows."""
        began = time.perf_counter()
        room = self._max_rows - len(self._running)
        if self._waiting and room > 0 and (self._rows.is_continuous or not self._running):
            rows = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
            self._running += rows
            for row in rows:
                row.batch_size = len(self._running)
            logits = self._rows.prefill([(row.prefix, row.text()) for row in rows])
            self._mark_seen(rows)
        else:
            rows = self._running
            logits = self._rows.decode([row.token_ids[-1] for row in rows])
        seen = None if self._seen is None else self._seen[-len(rows) :]
        chosen = next_tokens(logits, seen, self._sampling, [row.generator for row in rows])
        if seen is not None:
            seen.scatter_(1, chosen[:, None], True)
        ends: list[End | None] = [
            self._append(row, token) for row, token in zip(rows, as_ints(chosen), strict=True)
        ]
        elapsed = (time.perf_counter() - began) / len(rows)
        for row in rows:
            row.seconds += elapsed
        first = len(self._running) - len(rows)
        done: dict[int, End] = {first + at: end for at, end in enumerate(ends) if end is not None}
        finished = [self._finish(self._running[at], end) for at, end in done.items()]
        if done:
            order = self._rows.release(set(done))
            self._running = [self._running[at] for at in order]
            self._seen = None if self._seen is None else self._seen[order]
        return finished

    def _mark_seen(self, rows: Sequence[_Row]) -> None:
        if self._sampling.repetition_penalty == 1:
            return
        import torch

        model = self._model.model
        n_tokens = text_config(model).vocab_size
        seen = torch.zeros(len(rows), n_tokens, dtype=torch.bool, device=model.device)
        for of_row, row in zip(seen, rows, strict=True):
            of_row[list(row.text() if self._sampling.penalize_prompt else row.token_ids)] = True
        self._seen = seen if self._seen is None else torch.cat([self._seen, seen])

    def _halve(self) -> None:
        """Halve the batch after it ran out of memory; preempted rows are prefilled again, each with its
        answer so far."""
        self._max_rows = len(self._running) // 2
        self._waiting.extendleft(reversed(self._running))
        self._running, self._seen = [], None
        self._rows = self._model.rows(self._sampling.is_plain_greedy)
        memory.give_back()

    def _append(self, row: _Row, token: int) -> End | None:
        """Append a row's next token and return why the row ends there, or None."""
        if token in self._model.eos_ids:
            return "eos"
        row.token_ids.append(token)
        request = row.request
        if is_stopped(
            self._model.detokenize, row.token_ids, request.stop_strings, ends_at_fence=request.ends_at_fence
        ):
            return "stop"
        room = request.room
        most = self._sampling.max_new_tokens if room is None else min(self._sampling.max_new_tokens, room)
        return "length" if len(row.token_ids) == most else None

    def _finish(self, row: _Row, end: End) -> Generated:
        raw_text = self._model.detokenize(row.token_ids)
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
            n_shared_tokens=row.prefix.end,
            seconds=row.seconds,
            batch_size=row.batch_size,
        )
