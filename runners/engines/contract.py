"""What every engine is asked and what it answers. An engine is a file in `runners/engines/` with `class
Settings` and `class Engine`:

    def resolve(settings: Settings) -> str | None: ...    what the settings leave open, as it stands now; only
    where they can class Engine:
        def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None: ... def
        identify(self, request: EngineRequest) -> str: ... def generate(self, requests:
        Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]: ...

Answers come as they are finished, in any order. A request that cannot be answered comes back with an `error`,
never with an empty text, and a reply without a text as `missing`, with the reason in `error`; a model or
server that is gone altogether is raised.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from dsl.data.records import FinishReason, Prompt
from dsl.engines.contract import Decoding
from dsl.values import Value


class EngineRequest(Value):
    """One prompt to answer."""

    key: str
    """The caller's name for it: unique in a call."""
    prompt: Prompt
    seed: int | None = None
    """Where chance enters: this row's own seed."""


class EngineAnswer(Value):
    """One answer; fields as in `dsl.data.records.Completion`."""

    key: str
    prompt_text: str
    text: str | None
    raw_text: str | None
    finish_reason: FinishReason
    stop_string: str | None = None
    error: str | None = None
    is_passing: bool = False
    """Whether the same request may be answered another time."""
    n_prompt_tokens: int | None = None
    n_new_tokens: int | None = None
    seconds: float | None = None
    batch_size: int | None = None
    model_served: str | None = None
    system_fingerprint: str | None = None


LONGEST_ANSWER = 2**22
"""Characters of the longest answer that is kept: some hundred times what the longest contexts hold."""


def bounded(answer: EngineAnswer) -> EngineAnswer:
    """The answer or, where it is longer than can be kept, why there is none."""
    n = max(len(answer.text or ""), len(answer.raw_text or ""))
    if n <= LONGEST_ANSWER:
        return answer
    why = f"the answer has {n:,} characters, more than the {LONGEST_ANSWER:,} that are kept"
    return answer.model_copy(update={"text": None, "raw_text": None, "finish_reason": "error", "error": why})


class Engine(Protocol):
    """The face of an engine, once it is constructed."""

    load_seconds: float
    facts: dict[str, str | int | float | bool | None]
    """What the engine wants known about itself: device, dtype, number of parameters, whether the prefix was
    shared and why not."""

    def identify(self, request: EngineRequest) -> str:
        """What the model is handed, as text to be hashed: token ids where the engine tokenises, else the
        messages."""
        ...

    def generate(self, requests: Sequence[EngineRequest], decoding: Decoding) -> Iterator[EngineAnswer]: ...
