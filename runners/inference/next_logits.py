"""Logits of the next token after each of many prompts: one prefill each, over shared cached prefixes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runners.inference.batch_model import BatchModel
from runners.inference.order import longest_first

if TYPE_CHECKING:
    from torch import Tensor


def next_logits(
    batch_model: BatchModel, prompts: Sequence[tuple[int, ...]], batch_size: int | None = None
) -> Iterator[tuple[int, Tensor, float]]:
    """Yield for each prompt, in any order: its index, the logits (vocabulary,) after its last token, and its
    share of the wall time in seconds.

    At most `batch_size` prompts are in one batch; as many as fit into memory, if None.
    """
    import torch

    if not prompts:
        return
    began = time.perf_counter()
    with torch.inference_mode():
        prefixes = batch_model.prefixes(prompts)
    shared_seconds = (time.perf_counter() - began) / len(prompts)
    longest = max(len(ids) - prefix.end for ids, prefix in zip(prompts, prefixes, strict=True))
    n_rows = batch_model.batch_size(longest, batch_size)
    order = longest_first(prompts, prefixes)
    for start in range(0, len(order), n_rows):
        batch = order[start : start + n_rows]
        began = time.perf_counter()
        with torch.inference_mode():
            logits = batch_model.rows().prefill([(prefixes[at], prompts[at]) for at in batch])
        seconds = shared_seconds + (time.perf_counter() - began) / len(batch)
        yield from ((at, row, seconds) for at, row in zip(batch, logits, strict=True))
