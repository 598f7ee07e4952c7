"""Prompts as a server's own tokenizer reads them, where it tokenises on request as vLLM and SGLang do
(`POST /tokenize`).

Asked before the server's first row. A server that has no such address, or fails on it, is not judged by that.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from dsl.data.records import Example, Prompt
from dsl.engines.openai import Settings
from dsl.errors import DataError, ServerError
from dsl.steps.steps import GenerateStep, Step
from dsl.values import StepId
from runners.contract.data_folders import DataFolders
from runners.contract.findings import Finding
from runners.contract.generation import stop_findings
from runners.http.client import Answered, ApiReply, Client, Count, opened
from runners.http.concurrent import concurrently
from runners.http.failure import Api
from runners.http.server import Server
from runners.prompting.prompts import Prompter
from runners.store.step_io import read_rows
from runners.store.store import Store

_SECONDS = 10.0
_API = Api(address="`base_url` usually ends in /v1", shared="`name`")
_ANSWERS = "\u2042", "Yes"
"""Answers that begin with different tokens."""


class _Reply(ApiReply):
    tokens: list[int]
    max_model_len: Count = None


class _Longest(NamedTuple):
    """The longest prompt of a form that a server is asked."""

    item: str
    prompt: Prompt
    max_new_tokens: int

    @property
    def length(self) -> int:
        return len(self.prompt.text or "".join(content for _, content in self.prompt.messages or ()))


def check_served(
    steps: Mapping[StepId, Step], wanted: Iterable[StepId], store: Store, scratch: Path
) -> dict[StepId, tuple[Finding, ...]]:
    """Check the prompts that servers are asked: their stop strings, and the longest of each server as its
    tokenizer reads it.

    `steps` are all of the plan. Steps whose rows are not here yet, questions that follow an answer, and what
    puts slices together are left out.
    """
    folders, found = DataFolders(steps, store, scratch), dict[StepId, tuple[Finding, ...]]()
    longest: dict[tuple[Settings, bool], tuple[StepId, _Longest]] = {}
    for step_id in wanted:
        step = steps[step_id]
        if not isinstance(step, GenerateStep) or not isinstance(step.model, Settings) or step.slices:
            continue
        if step.prompt is None or step.after is not None or (context := folders.context(step)) is None:
            continue
        try:
            prompter = Prompter(step.prompt, context, step.seed)
            examples = read_rows(context[step.examples] / "examples.jsonl", Example)
            asked = [(example, prompter.prompt(example)) for example in examples]
        except DataError as error:
            found[step_id] = (Finding(level="error", message=str(error)),)
            continue
        found[step_id] = tuple(stop_findings(step, asked, context)) if asked else ()
        for example, prompt in asked:
            one = _Longest(example.item, prompt, step.decoding.max_new_tokens)
            key = step.model, prompt.text is None
            if key not in longest or one.length > longest[key][1].length:
                longest[key] = step_id, one
    for (settings, _), (step_id, one) in longest.items():
        found[step_id] = (*found[step_id], *_of_server(settings, one))
    return found


def _of_server(settings: Settings, longest: _Longest) -> Iterator[Finding]:
    prompt, messages = longest.prompt, longest.prompt.messages or ()
    empty: dict[str, Any] = {"prompt": "", "add_special_tokens": True}
    if prompt.text is not None:
        bodies: list[dict[str, Any]] = [{"prompt": prompt.text, "add_special_tokens": True}]
    else:
        answered = [(*messages, ("assistant", answer)) for answer in _ANSWERS]
        bodies = [
            {
                "chat_template_kwargs": dict(prompt.chat_template_kwargs),
                "messages": _chat(each),
                "add_generation_prompt": opens,
            }
            for each, opens in ((messages, True), *((one, False) for one in (messages, *answered)))
        ]
    asked, *rendered, nothing = _tokenised(settings, [*bodies, empty])
    if asked is None:
        return
    ids, room = asked.tokens, asked.max_model_len
    bos = None if nothing is None or len(nothing.tokens) != 1 else nothing.tokens[0]
    has_answers = any(role == "assistant" for role, _ in messages)
    if bos is not None and not has_answers and ids.count(bos) != 1:
        yield Finding(
            level="warning",
            message=(
                f"{settings.name} reads the beginning-of-sequence token {ids.count(bos)} times in the prompt"
                f" of `{longest.item}`, as its server tokenises it"
            ),
        )
    if room is not None and len(ids) + longest.max_new_tokens > room:
        yield Finding(
            level="warning",
            message=(
                f"the longest prompt, of `{longest.item}`, has {len(ids)} tokens on the server; with"
                f" `max_new_tokens` ({longest.max_new_tokens}) it does not fit its context of {room}"
            ),
        )
    yield from _generation_prompt(settings, ids, rendered)


def _generation_prompt(
    settings: Settings, ids: list[int], replies: Sequence[_Reply | None]
) -> Iterator[Finding]:
    """Find out whether the server's template begins an answer as it ends a prompt."""
    match replies:
        case [_Reply(tokens=bare), _Reply(tokens=one), _Reply(tokens=other)] if ids == bare:
            pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
            shared = [token for token, _ in pairs]
            opening = shared[len(bare) :] if shared[: len(bare)] == bare else []
            if opening and opening[0] in bare:  # as every turn begins
                yield Finding(
                    level="warning",
                    message=(
                        f"the chat template of {settings.name} on its server has no generation prompt: tokens"
                        f" {opening[:3]} stand before an answer, and a prompt ends without them"
                    ),
                )
        case _:
            pass


def _chat(messages: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in messages]


def _tokenised(settings: Settings, bodies: Sequence[Mapping[str, Any]]) -> list[_Reply | None]:
    """Ask a server for tokens, one body after another; None from the first on that it gives none for."""
    replies: list[_Reply | None] = [None] * len(bodies)
    try:
        root = Server(settings).url.removesuffix("/v1")
        once = {"base_url": root, "base_url_env": None, "max_retries": 0}
        plain = settings.model_copy(update={**once, "timeout": min(settings.timeout, _SECONDS)})
        server = Server(plain)

        @asynccontextmanager
        async def calls() -> AsyncGenerator[Callable[[int], Awaitable[tuple[int, _Reply] | Exception]]]:
            async with opened(server, plain, _API, _Reply) as client:

                async def ask(place: int) -> tuple[int, _Reply] | ServerError:
                    reply = await _answer(client, {"model": settings.name, **bodies[place]})
                    return reply if isinstance(reply, ServerError) else (place, reply)

                yield ask

        for place, reply in concurrently(range(len(bodies)), calls, 1):
            replies[place] = reply
    except ServerError:  # which the server's first row reports
        pass
    return replies


async def _answer(client: Client[_Reply], body: Mapping[str, Any]) -> _Reply | ServerError:
    outcome = await client.post("tokenize", body)
    return outcome.reply if isinstance(outcome, Answered) else ServerError("no tokens")
