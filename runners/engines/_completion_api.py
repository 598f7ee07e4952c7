"""OpenAI's completions API, for texts and chats: request bodies and parsed replies, without input or
output."""

import json
from typing import Annotated, Any, Self, TypedDict

from pydantic import BaseModel, Field, model_validator

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.messages import one_line, shorten
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.http.client import ApiReply, Count, Detail
from runners.http.failure import Api
from runners.inference.stop_strings import cut_at_stop
from runners.inference.thinking import without_thinking

API = Api(
    address="`base_url` usually ends in /v1",
    shared=(
        "`name`, or a decoding that this server does not know (`top_k`, `repetition_penalty`) or allow"
        " (`max_new_tokens`)"
    ),
)
OFF = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Neutral values of the sampling parameters of vLLM, SGLang and llama.cpp that OpenAI does not have."""
MOST_STOP_STRINGS = 4
"""The API's limit. Further ones are applied here, to the finished text."""

_HELLO = "Hello"


class Message(BaseModel):
    content: str | None = None
    refusal: Detail[str] = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(BaseModel):
    """One answer, in `text` or in `message`, depending on the endpoint."""

    finish_reason: Detail[str] = None
    text: str | None = None
    message: Message | None = None
    stop_reason: Detail[str | int] = None
    """vLLM: the stop string, or the token, that ended the answer."""
    matched_stop: Detail[str | int] = None
    """SGLang's name for it."""


class Usage(BaseModel):
    prompt_tokens: Count = None
    completion_tokens: Count = None


class Reply(ApiReply):
    """Fields read from a server's reply, which may have many more. At least one choice is required."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    model: Detail[str] = None
    usage: Detail[Usage] = None
    system_fingerprint: Detail[str] = None
    """The server's version and configuration."""

    @model_validator(mode="after")
    def _is_no_error(self) -> Self:
        if self.choices[0].finish_reason == "error":
            raise ValueError("the answer ended in an error")
        return self

    def n_tokens(self) -> tuple[int | None, int | None]:
        return (
            (None, None) if self.usage is None else (self.usage.prompt_tokens, self.usage.completion_tokens)
        )


def path(prompt: Prompt) -> str:
    """Return the endpoint for a prompt."""
    return "completions" if prompt.text is not None else "chat/completions"


def body(
    model: str, prompt: Prompt, seed: int | None, decoding: Decoding, *, says_off: bool = True
) -> dict[str, Any]:
    """Return the request body: a `prompt` for a text, `messages` for a chat.

    `says_off`: parameters that OpenAI does not know are also sent with their neutral values, so that no
    default of the server applies unseen (vLLM uses the model's generation_config.json). The model's own
    decoding is left to the server.
    """
    asked = {"prompt": prompt.text} if prompt.text is not None else {"messages": _messages(prompt)}
    common = {"model": model, "max_tokens": decoding.max_new_tokens}
    optional: dict[str, Any] = {}
    if decoding.source != "model":
        common |= {"temperature": decoding.temperature, "top_p": decoding.top_p}
        penalty = {"repetition_penalty": decoding.repetition_penalty}
        optional |= ({"top_k": decoding.top_k} if decoding.top_k else {}) | (
            penalty if decoding.repetition_penalty != 1 else {}
        )
        optional = {**OFF, **optional} if says_off else optional
    if prompt.chat_template_kwargs:
        optional["chat_template_kwargs"] = dict(prompt.chat_template_kwargs)
    if stops := _stop_strings(prompt):
        optional["stop"] = stops[:MOST_STOP_STRINGS]
    if seed is not None:
        optional["seed"] = seed
    if prompt.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": json.loads(prompt.json_schema)}
        optional["response_format"] = {"type": "json_schema", "json_schema": schema}
    return {**common, **asked, **optional}


def probe(prompt: Prompt) -> Prompt:
    """Return a prompt of the same kind that no server has a reason to reject."""
    if prompt.text is not None:
        return prompt.model_copy(update={"text": _HELLO})
    return prompt.model_copy(update={"messages": (("user", _HELLO),)})


def answer(request: EngineRequest, reply: Reply, seconds: float | None) -> EngineAnswer:
    """Return the answer of a reply that took so many seconds, where that is known. An empty text is an
    answer; no text, or one that a content filter withheld, is none."""
    choice = reply.choices[0]
    raw_text = choice.text if choice.message is None else choice.message.content
    if not raw_text and choice.message is not None and choice.message.refusal:
        raw_text = choice.message.refusal
    why_not = _why_no_text(choice, raw_text)
    if raw_text is None or why_not is not None:
        return EngineAnswer(
            key=request.key,
            prompt_text=_sent(request.prompt),
            text=None,
            raw_text=None,
            finish_reason="missing",
            error=why_not,
            seconds=seconds,
            **_details(reply),
        )
    text, stop = cut_at_stop(
        raw_text, _stop_strings(request.prompt), ends_at_fence=request.prompt.ends_at_fence
    )
    if request.prompt.text is None:
        text = without_thinking(text, "")
    ended_by = choice.matched_stop if choice.stop_reason is None else choice.stop_reason
    if stop is None and isinstance(ended_by, str):
        stop = ended_by
    return EngineAnswer(
        key=request.key,
        prompt_text=_sent(request.prompt),
        text=text,
        raw_text=raw_text,
        # A server that removes the stop string without naming it says "stop" for EOS, too: both count as EOS.
        finish_reason="stop" if stop is not None else "length" if choice.finish_reason == "length" else "eos",
        stop_string=stop,
        seconds=seconds,
        **_details(reply),
    )


def without_answer(request: EngineRequest, error: str, *, is_transient: bool) -> EngineAnswer:
    """Return the answer of a request that failed, with the error."""
    return EngineAnswer(
        key=request.key,
        prompt_text=_sent(request.prompt),
        text=None,
        raw_text=None,
        finish_reason="error",
        error=error,
        is_transient=is_transient,
    )


def _why_no_text(choice: Choice, text: str | None) -> str | None:
    """Return why a choice holds no answer; None where it holds one."""
    if choice.finish_reason == "content_filter":
        return "the server's content filter withheld the answer"
    if (
        not text
        and choice.message is not None
        and (choice.message.tool_calls or choice.message.function_call)
    ):
        return "the reply is a tool call and holds no text"
    if text is None:
        ended = "" if choice.finish_reason is None else f" ({shorten(one_line(choice.finish_reason))})"
        return f"the reply holds no text{ended}"
    return None


class _Details(TypedDict):
    n_prompt_tokens: int | None
    n_new_tokens: int | None
    model_served: str | None
    system_fingerprint: str | None


def _details(reply: Reply) -> _Details:
    usage = reply.usage or Usage()
    return _Details(
        n_prompt_tokens=usage.prompt_tokens,
        n_new_tokens=usage.completion_tokens,
        model_served=reply.model,
        system_fingerprint=reply.system_fingerprint,
    )


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in prompt.messages or ()]


def _sent(prompt: Prompt) -> str:
    """Return the prompt as sent: only the server applies the chat template to messages."""
    return prompt.text if prompt.text is not None else json.dumps(_messages(prompt), ensure_ascii=False)


def _stop_strings(prompt: Prompt) -> list[str]:
    return [stop for stop in prompt.stop_strings if stop]
