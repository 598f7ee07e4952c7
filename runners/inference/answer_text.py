"""Tokens of an answer as text, and where its text ends it: the same for tokens made here and by a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runners.inference.stop_strings import closing_fence, cut_at_stop
from runners.inference.thinking import special_marks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_STOP_MARGIN = 4
"""Tokens detokenised beyond the length of a stop string: the first ones of a slice may give other text than
within the whole."""


class Detokenizer:
    """Makes text of new tokens, without special tokens but those that mark thinking."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer: Any = tokenizer
        self._marks = special_marks(tokenizer)
        self._special = {at for at, token in tokenizer.added_tokens_decoder.items() if token.special}

    def __call__(self, token_ids: Sequence[int]) -> str:
        if self._marks:
            token_ids = [token for token in token_ids if token in self._marks or token not in self._special]
        return self._tokenizer.decode(
            token_ids, skip_special_tokens=not self._marks, clean_up_tokenization_spaces=False
        )


def is_stopped(
    detokenize: Callable[[Sequence[int]], str],
    token_ids: Sequence[int],
    stop_strings: Sequence[str],
    *,
    ends_at_fence: bool,
) -> bool:
    """Test whether a stop string, or the line of the closing fence, ends in the newest token."""
    # Cheap first: the last tokens. The whole text decides.
    if (
        stop_strings
        and cut_at_stop(detokenize(token_ids[-_n_tail(stop_strings) :]), stop_strings)[1]
        and cut_at_stop(detokenize(token_ids), stop_strings)[1]
    ):
        return True
    if not ends_at_fence or "\n" not in detokenize(token_ids[-1:]):
        return False
    # an info string may yet follow a fence
    whole_lines = detokenize(token_ids).rpartition("\n")[0]
    return closing_fence(whole_lines) is not None


def _n_tail(stop_strings: Sequence[str]) -> int:
    """Return how many of the last tokens can hold a stop string that ends in the newest: a token is at least
    one byte of it."""
    return max(len(stop.encode()) for stop in stop_strings) + _STOP_MARGIN
