"""Contract of the servers of weights: tokens in and out, and log-probabilities of some tokens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runners.http.client import ApiReply
from runners.inference.answer_text import is_stopped
from runners.inference.stop_strings import cut_at_stop

if TYPE_CHECKING:
    from runners.inference.next_token import Sampling
    from runners.inference.scheduler import Request


class TokensReply(ApiReply):
    """Base of the replies that hold an answer."""

    @property
    def new_ids(self) -> list[int]:
        """Tokens of the answer, with the one that ended it, and with those of a stop string."""
        raise NotImplementedError

    @property
    def ended_by(self) -> str | None:
        """`stop` or `length`; anything else is a reason of the server's own."""
        raise NotImplementedError

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that the server, too, takes for the end of an answer."""
        return frozenset()


class LogprobsReply(ApiReply):
    """Base of the replies that hold log-probabilities."""

    def logprobs(self, labels: Sequence[int]) -> tuple[float, ...] | None:
        """Return that of each label, up to a constant of all; None where the server does not give them."""
        raise NotImplementedError


class TokensApi(Protocol):
    """Words of one server: a module with these names."""

    @property
    def PATH(self) -> str:
        """Address of completions, after the server's."""
        ...

    @property
    def Reply(self) -> type[TokensReply]: ...

    @property
    def LabelReply(self) -> type[LogprobsReply]: ...

    def body(
        self, model: str, request: Request, sampling: Sampling, eos_ids: Collection[int], max_new_tokens: int
    ) -> dict[str, Any]:
        """Return the request for an answer. All sampling parameters are sent, so that no default of the
        server applies unseen."""
        ...

    def label_body(self, model: str, token_ids: Sequence[int], labels: Sequence[int]) -> dict[str, Any]:
        """Return the request for the log-probabilities of labels after a prompt."""
        ...


def answer_ids(
    reply: TokensReply,
    request: Request,
    eos_ids: Collection[int],
    detokenize: Callable[[Sequence[int]], str],
) -> tuple[list[int], bool]:
    """Return the tokens of an answer up to where it ends, as it would have ended here, and whether an
    end-of-sequence token ended it. A server knows no closing fence, and reads stop strings for itself."""
    ids, ends = reply.new_ids, {*eos_ids, *reply.end_ids}
    at_end = next((at for at, token in enumerate(ids) if token in ends), None)
    ids = ids[:at_end]
    stops, at_fence = request.stop_strings, request.ends_at_fence
    if cut_at_stop(detokenize(ids), stops, ends_at_fence=at_fence)[1] is not None:
        for n in range(1, len(ids)):
            if is_stopped(detokenize, ids[:n], stops, ends_at_fence=at_fence):
                return ids[:n], False
    return ids, at_end is not None
