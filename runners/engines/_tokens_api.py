"""vLLM's completions API with tokens in and out: request bodies and parsed replies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from runners.engines._completion_api import OFF, Usage
from runners.http.client import ApiReply, Detail
from runners.inference.answer_text import is_stopped
from runners.inference.stop_strings import cut_at_stop

if TYPE_CHECKING:
    from runners.inference.next_token import Sampling
    from runners.inference.scheduler import Request


class Choice(BaseModel):
    """One answer."""

    token_ids: list[Annotated[int, Field(ge=0)]]
    """With the token that ended it, and with those of a stop string."""
    finish_reason: Detail[str] = None


class Reply(ApiReply):
    """Fields read from a reply. At least one choice is required."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    usage: Detail[Usage] = None

    def n_tokens(self) -> tuple[int | None, int | None]:
        usage = self.usage or Usage()
        return usage.prompt_tokens, usage.completion_tokens


def body(
    model: str, request: Request, sampling: Sampling, eos_ids: Collection[int], *, max_new_tokens: int
) -> dict[str, Any]:
    """Return the request body. All sampling parameters are sent, and the tokens that end an answer are the
    model's as it is read here, so that no default of the server applies unseen."""
    optional: dict[str, Any] = {} if request.seed is None else {"seed": request.seed}
    if request.stop_strings:
        optional["stop"] = list(request.stop_strings)
    return {
        "model": model,
        "prompt": list(request.token_ids),
        "max_tokens": max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        **OFF,
        "top_k": sampling.top_k or OFF["top_k"],
        "repetition_penalty": sampling.repetition_penalty,
        "ignore_eos": True,
        "stop_token_ids": sorted(eos_ids),
        "return_token_ids": True,
        **optional,
    }


def answer_ids(
    choice: Choice, request: Request, eos_ids: Collection[int], detokenize: Callable[[Sequence[int]], str]
) -> tuple[list[int], bool]:
    """Return the tokens of an answer up to where it ends, as it would have ended here, and whether an
    end-of-sequence token ended it. A server knows no closing fence, and reads stop strings for itself."""
    ids = choice.token_ids
    at_end = next((at for at, token in enumerate(ids) if token in eos_ids), None)
    ids = ids[:at_end]
    stops, at_fence = request.stop_strings, request.ends_at_fence
    if cut_at_stop(detokenize(ids), stops, ends_at_fence=at_fence)[1] is not None:
        for n in range(1, len(ids)):
            if is_stopped(detokenize, ids[:n], stops, ends_at_fence=at_fence):
                return ids[:n], False
    return ids, at_end is not None
