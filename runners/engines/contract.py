"""Contract of the engines: requests and answers.

An engine is a file in `runners/engines/` with `class Engine`, whose settings are those of `dsl/engines/`:

    def resolve(settings: Settings) -> str | None: ...     (optional; see `runners.engines.resolved`)

    class Engine:
        def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None: ...
        def identify(self, request: EngineRequest) -> str: ...
        def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]:
        ...

Answers come as they finish, in any order. A request that cannot be answered has an answer with an `error`,
never an empty text, and a reply without text is `missing`, with the reason in `error`; an engine raises
where a model or server fails for all requests.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from dsl.data.records import FinishReason, Prompt
from dsl.engines.contract import Decoding
from dsl.values import Value


class EngineRequest(Value):
    """One prompt to answer."""

    key: str
    """The caller's identifier, unique in a call."""
    prompt: Prompt
    seed: int | None = None
    """This row's seed for sampling."""


class EngineAnswer(Value):
    """One answer; fields as in `dsl.data.records.Completion`."""

    key: str
    prompt_text: str
    text: str | None
    raw_text: str | None
    finish_reason: FinishReason
    stop_string: str | None = None
    error: str | None = None
    is_transient: bool = False
    """A failed request may succeed later."""
    n_prompt_tokens: int | None = None
    n_new_tokens: int | None = None
    seconds: float | None = None
    batch_size: int | None = None
    model_served: str | None = None
    system_fingerprint: str | None = None


LONGEST_ANSWER = 2**22
"""Characters of the longest answer that is stored: some hundred times the longest contexts."""


def bounded(answer: EngineAnswer) -> EngineAnswer:
    """Return the answer or, where it is too long to store, an error."""
    n = max(len(answer.text or ""), len(answer.raw_text or ""))
    if n <= LONGEST_ANSWER:
        return answer
    why = f"the answer has {n:,} characters, more than the {LONGEST_ANSWER:,} that are kept"
    return answer.model_copy(update={"text": None, "raw_text": None, "finish_reason": "error", "error": why})


class Engine(Protocol):
    """Interface of a constructed engine."""

    load_seconds: float
    facts: dict[str, str | int | float | bool | None]
    """Facts for the run's record: device, dtype, number of parameters, why prefixes were not shared."""

    def identify(self, request: EngineRequest) -> str:
        """Return the model's input as text to be hashed: token ids where the engine tokenises, else the
        messages."""
        ...

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]: ...
