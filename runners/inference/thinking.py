"""Thinking blocks, which a model writes before it answers. They stay in the raw text and are no part of the
answer that is judged."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BLOCKS = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, SmolLM3, GLM, …
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|channel>thought", "<channel|>"),  # Gemma 4
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)
"""The marks between which a model thinks."""


def without_thinking(text: str, prompt: str) -> str:
    """Return the answer after a thinking block that a text begins with, or that the prompt left open; empty
    where the block is not closed."""
    for opening, closing in _BLOCKS:
        if prompt.rstrip().endswith(opening) or text.lstrip().startswith((opening, closing)):
            return text.partition(closing)[2].lstrip()
        thought, closed, answer = text.partition(f"\n{closing}\n")
        if closed and opening not in thought:  # a server's chat template opened the block
            return answer.lstrip()
    return text


def special_marks(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the special tokens that thinking marks consist of: text without them would not show where the
    answer begins."""
    special = {token.content: at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    found: set[int] = set()
    for block in _BLOCKS:
        parts = [{token for token in special if token in mark} for mark in block]
        rests = [
            reduce(lambda rest, token: rest.replace(token, ""), held, mark)
            for mark, held in zip(block, parts, strict=True)
        ]
        # a word may stand between them, as `final`
        if all(parts) and all(rest.isalpha() or not rest for rest in rests):
            found |= {special[token] for token in parts[0] | parts[1]}
    return frozenset(found)
