"""What a model would write next after each of many prompts: one forward pass for each, and what they begin
with alike read once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runners.inference.batch_model import BatchModel
from runners.inference.order import longest_first

if TYPE_CHECKING:
    from torch import Tensor


def next_logits(
    reader: BatchModel, prompts: Sequence[tuple[int, ...]], batch_size: int | None = None
) -> Iterator[tuple[int, Tensor, float]]:
    """For each prompt, in any order: its place, the logits (vocabulary,) after its last token, and its share
    of the wall time in seconds.

    At most `batch_size` prompts are read together; as many as fit into memory, if None.
    """
    import torch

    if not prompts:
        return
    began = time.perf_counter()
    with torch.inference_mode():
        placed = reader.place(prompts)
    shared_seconds = (time.perf_counter() - began) / len(prompts)
    at_once = reader.batch_size(
        max(len(ids) - below.end for ids, below in zip(prompts, placed, strict=True)), batch_size
    )
    order = longest_first(prompts, placed)
    for start in range(0, len(order), at_once):
        batch = order[start : start + at_once]
        began = time.perf_counter()
        with torch.inference_mode():
            logits = reader.rows().add([(placed[at], prompts[at]) for at in batch])
        seconds = shared_seconds + (time.perf_counter() - began) / len(batch)
        yield from ((at, row, seconds) for at, row in zip(batch, logits, strict=True))
