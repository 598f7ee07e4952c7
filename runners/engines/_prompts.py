"""Prompts as the tokens of a model whose tokenizer is here: for engines that are handed tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsl.errors import DataError
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.inference.thinking import without_thinking
from runners.prompting import tokens

if TYPE_CHECKING:
    from runners.inference.scheduler import Request
    from runners.models.loading import Loaded


@dataclass(frozen=True)
class Read:
    """Prompts that were read."""

    ready: list[Request]
    """Requests with the token ids that the model reads."""
    refused: list[EngineAnswer]
    """Errors of prompts that cannot be answered."""
    _texts: dict[str, str]
    _chats: frozenset[str]

    def text(self, key: str) -> str:
        """Return the text of a prompt."""
        return self._texts[key]

    def answer(self, key: str, text: str) -> str:
        """Return the answer in the text that followed a prompt: that of a chat is without thinking."""
        return without_thinking(text, self._texts[key]) if key in self._chats else text


class Prompts:
    """Prompts of one model. Whole ones are tokenised, since pieces of text may give other tokens."""

    def __init__(self, loaded: Loaded, source: str) -> None:
        """`source`: the model's name, for messages."""
        self._loaded, self._source = loaded, source
        self._last: tuple[object, list[int]] = (None, [])
        """The last prompt, without its stop strings, and its tokens: it may be identified with others."""

    def identify(self, request: EngineRequest) -> str:
        """Return the token ids, the stop strings and whether a fence stops the answer."""
        return (
            f"{self._token_ids(request)} {list(request.prompt.stop_strings)} {request.prompt.ends_at_fence}"
        )

    def read(self, requests: Sequence[EngineRequest], n_positions: int | None) -> Read:
        """Read the prompts of requests. One that leaves no room for an answer in so many positions, or has a
        token without an embedding, is refused.

        Raises DataError where the model cannot be asked through its chat template.
        """
        from runners.inference.scheduler import Request

        chats = frozenset(request.key for request in requests if request.prompt.text is None)
        if self._loaded.no_chat is not None and chats:
            raise DataError(
                f"{self._source} cannot be asked through its chat template: {self._loaded.no_chat}"
            )
        texts = {request.key: tokens.render(self._loaded.tokenizer, request.prompt) for request in requests}
        read = Read([], [], texts, chats)
        for request in requests:
            ids = tuple(self._token_ids(request))
            if (why := self._unanswerable(ids, n_positions)) is not None:
                read.refused.append(
                    EngineAnswer(
                        key=request.key,
                        prompt_text=texts[request.key],
                        text=None,
                        raw_text=None,
                        finish_reason="error",
                        error=why,
                        n_prompt_tokens=len(ids),
                    )
                )
            else:
                room = None if n_positions is None else n_positions - len(ids)
                prompt = request.prompt
                read.ready.append(
                    Request(request.key, ids, prompt.stop_strings, request.seed, prompt.ends_at_fence, room)
                )
        return read

    def _token_ids(self, request: EngineRequest) -> list[int]:
        prompt = request.prompt.model_copy(update={"stop_strings": ()})
        if self._last[0] != prompt:
            self._last = (prompt, tokens.token_ids(self._loaded.tokenizer, request.prompt))
        return self._last[1]

    def _unanswerable(self, token_ids: Sequence[int], n_positions: int | None) -> str | None:
        """Return why a prompt cannot be answered, or None."""
        if n_positions is not None and len(token_ids) >= n_positions:
            return (
                f"the prompt has {len(token_ids)} tokens; the model's {n_positions} positions leave no room"
                " for an answer"
            )
        return self._loaded.missing_embeddings(token_ids)
