"""OpenAI's completions, of a text or of a chat: what is sent for a prompt, and where, and what a reply says. Values in, values out."""

import json
from typing import Any

from pydantic import BaseModel

from dsl.models import Decoding
from dsl.records import Prompt
from runners.decoding.stop_strings import cut_at_stop
from runners.engine import EngineAnswer, EngineRequest
from runners.failure import Api, in_words

OPENAI = "https://api.openai.com/v1"
"""The address where a spec names none."""
API = Api(
    address="`base_url` usually ends in /v1",
    shared="`name`, or a decoding that this server does not know (`top_k`, `repetition_penalty`) or allow (`max_new_tokens`)",
)
MOST_STOP_STRINGS = 4
"""The API's limit. Those beyond it are found only here, in the finished text."""

_HELLO = "Hello"


class Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    """One answer, in `text` or in `message`, as the endpoint has it."""

    finish_reason: str | None = None
    text: str | None = None
    message: Message | None = None
    stop_reason: str | int | None = None
    """vLLM: the stop string, or the token, that ended the answer."""
    matched_stop: str | int | None = None
    """SGLang's word for it."""


class Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Reply(BaseModel):
    """What is read of a server's reply; servers add much else."""

    choices: list[Choice] | None = None
    model: str | None = None
    usage: Usage | None = None
    system_fingerprint: str | None = None
    """What a server says of its version and configuration."""
    error: Any = None
    """Some servers send their errors with status 200."""


def path(prompt: Prompt) -> str:
    """Where a prompt is sent."""
    return "completions" if prompt.text is not None else "chat/completions"


def body(model: str, prompt: Prompt, seed: int | None, decoding: Decoding) -> dict[str, Any]:
    """What is sent: a `prompt` for a text, `messages` for a chat."""
    asked = {"prompt": prompt.text} if prompt.text is not None else {"messages": _messages(prompt)}
    common = {"model": model, "max_tokens": decoding.max_new_tokens, "temperature": decoding.temperature, "top_p": decoding.top_p}
    optional: dict[str, Any] = {}
    if stops := _stop_strings(prompt):
        optional["stop"] = stops[:MOST_STOP_STRINGS]
    if seed is not None:
        optional["seed"] = seed
    if prompt.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": json.loads(prompt.json_schema)}
        optional["response_format"] = {"type": "json_schema", "json_schema": schema}
    if decoding.top_k:
        optional["top_k"] = decoding.top_k
    if decoding.repetition_penalty != 1:
        optional["repetition_penalty"] = decoding.repetition_penalty
    return {**common, **asked, **optional}


def harmless(prompt: Prompt) -> Prompt:
    """A prompt of the same kind that no server has a reason to refuse."""
    if prompt.text is not None:
        return prompt.model_copy(update={"text": _HELLO})
    return prompt.model_copy(update={"messages": (("user", _HELLO),)})


def answer(request: EngineRequest, reply: Reply, seconds: float) -> EngineAnswer:
    """The row that a reply makes, which came after so many seconds. An empty text is an answer; a reply without a choice, or one that a
    content filter withheld, is none."""
    if not reply.choices:
        return without_answer(
            request, f"the server gave no answer: {in_words(reply.error) if reply.error else 'its reply holds no choice'}"
        )
    choice = reply.choices[0]
    if choice.finish_reason == "content_filter":
        return without_answer(request, "the server's content filter withheld the answer")
    raw_text = choice.text or ""
    if choice.message is not None:
        raw_text = choice.message.content or choice.message.refusal or ""
    text, stop = cut_at_stop(raw_text, _stop_strings(request.prompt))
    ended_by = choice.matched_stop if choice.stop_reason is None else choice.stop_reason
    if stop is None and isinstance(ended_by, str):
        stop = ended_by
    return EngineAnswer(
        key=request.key,
        prompt_text=_sent(request.prompt),
        text=text,
        raw_text=raw_text,
        # A server that takes the stop string off and does not name it says "stop" for the model's own end, too: both count as its end.
        finish_reason="stop" if stop is not None else "length" if choice.finish_reason == "length" else "eos",
        stop_string=stop,
        n_prompt_tokens=reply.usage.prompt_tokens if reply.usage else None,
        n_new_tokens=reply.usage.completion_tokens if reply.usage else None,
        seconds=seconds,
        model_served=reply.model,
        system_fingerprint=reply.system_fingerprint,
    )


def without_answer(request: EngineRequest, error: str) -> EngineAnswer:
    """The row of a prompt that got no answer, and why."""
    return EngineAnswer(key=request.key, prompt_text=_sent(request.prompt), text=None, raw_text=None, finish_reason="error", error=error)


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in prompt.messages or ()]


def _sent(prompt: Prompt) -> str:
    """The prompt as it was sent: what its chat template makes of messages, only the server knows."""
    return prompt.text if prompt.text is not None else json.dumps(_messages(prompt), ensure_ascii=False)


def _stop_strings(prompt: Prompt) -> list[str]:
    return [stop for stop in prompt.stop_strings if stop]
