"""Prompts as a server's own tokenizer reads them, where it tokenises on request as vLLM and llama.cpp do.

Asked before the server's first row. A server that has no such address, or fails on it, is not judged by that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from dsl.data.records import Example, Prompt
from dsl.engines.openai import Settings
from dsl.errors import DataError
from dsl.steps.steps import GenerateStep, JudgeStep, Step
from dsl.values import StepId
from runners.contract.data_folders import DataFolders
from runners.contract.findings import Finding
from runners.contract.generation import stop_findings
from runners.contract.rendering import Rendering, weights_named
from runners.contract.served_tokens import Tokens, text_body, tokenised
from runners.prompting.prompts import Prompter
from runners.store.step_io import read_rows
from runners.store.store import Store

_ANSWERS = "\u2042", "Yes"
"""Answers that begin with different tokens."""


class _Longest(NamedTuple):
    """The longest prompt of a form that a server is asked, or one like those of its judges."""

    what: str
    prompt: Prompt
    max_new_tokens: int

    @property
    def length(self) -> int:
        return len(self.prompt.text or "".join(content for _, content in self.prompt.messages or ()))


_OF_A_JUDGE = _Longest("a judge's question", Prompt(messages=(("system", "Yes"), ("user", "Yes"))), 0)


class Served(NamedTuple):
    """Prompts of servers, checked."""

    findings: Mapping[StepId, tuple[Finding, ...]]
    renderings: Sequence[tuple[StepId, Rendering]] = ()
    """Prompts that a server tokenises, where the study loads weights of that name, too."""


def check_served(
    steps: Mapping[StepId, Step], wanted: Iterable[StepId], store: Store, scratch: Path
) -> Served:
    """Check the prompts that servers are asked: their stop strings, and the longest of each server as its
    tokenizer reads it.

    `steps` are all of the plan. Steps whose rows are not here yet, questions that follow an answer, and what
    puts slices together are left out; a judge's server is asked about a question of two short messages.
    """
    folders, found = DataFolders(steps, store, scratch), dict[StepId, tuple[Finding, ...]]()
    longest: dict[tuple[Settings, bool], tuple[StepId, _Longest]] = {}
    judges: dict[tuple[Settings, bool], tuple[StepId, _Longest]] = {}
    for step_id in wanted:
        step = steps[step_id]
        if isinstance(step, JudgeStep):
            models = (model for judge in step.judges.values() for model in judge.models())
            judges |= {(one, True): (step_id, _OF_A_JUDGE) for one in models if isinstance(one, Settings)}
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
            one = _Longest(f"the prompt of `{example.item}`", prompt, step.decoding.max_new_tokens)
            key = step.model, prompt.text is None
            if key not in longest or one.length > longest[key][1].length:
                longest[key] = step_id, one
    renderings: list[tuple[StepId, Rendering]] = []
    for (settings, is_chat), (step_id, one) in (judges | longest).items():
        replies, reason = tokenised(settings, _bodies(one.prompt))
        found[step_id] = (*found.get(step_id, ()), *_of_server(settings, one, replies, reason))
        named = weights_named(settings.name, steps.values(), is_chat=is_chat)
        if named is not None and (read := replies[0]) is not None and read.tokens:
            rendering = Rendering(
                name=settings.name,
                weights=named[0],
                is_used=named[1] and one is not _OF_A_JUDGE,
                what=one.what,
                prompt=one.prompt,
                tokens=tuple(read.tokens),
            )
            renderings.append((step_id, rendering))
    return Served(found, renderings)


def _bodies(prompt: Prompt) -> list[dict[str, Any]]:
    """Return the requests about a prompt: itself, a chat without a generation prompt and with two answers,
    and no text at all."""
    if prompt.text is not None:
        return [text_body(prompt.text), text_body("")]
    messages = prompt.messages or ()
    answered = [(*messages, ("assistant", answer)) for answer in _ANSWERS]
    chats = [
        {
            "chat_template_kwargs": dict(prompt.chat_template_kwargs),
            "messages": [{"role": role, "content": content} for role, content in each],
            "add_generation_prompt": opens,
        }
        for each, opens in ((messages, True), *((one, False) for one in (messages, *answered)))
    ]
    return [*chats, text_body("")]


def _of_server(
    settings: Settings, longest: _Longest, replies: Sequence[Tokens | None], reason: str | None
) -> Iterator[Finding]:
    asked, *rendered, nothing = replies
    is_chat, messages = longest.prompt.text is None, longest.prompt.messages or ()
    if asked is None:
        if is_chat and reason is not None:
            message = (
                f"the server {reason}, as those of vLLM and llama.cpp do: its chat template, the beginning of"
                " its prompts and their end are not checked"
            )
            yield Finding(level="warning", message=message)
        return
    ids, room = asked.tokens, asked.max_model_len
    bos = None if nothing is None or len(nothing.tokens) != 1 else nothing.tokens[0]
    has_answers = any(role == "assistant" for role, _ in messages)
    if bos is not None and not has_answers and ids.count(bos) != 1:
        yield Finding(
            level="warning",
            message=(
                f"{settings.name} reads the beginning-of-sequence token {ids.count(bos)} times in"
                f" {longest.what}, as its server tokenises it"
            ),
        )
    if room is not None and len(ids) + longest.max_new_tokens > room:
        yield Finding(
            level="warning",
            message=(
                f"{longest.what}, the longest, has {len(ids)} tokens on the server; with `max_new_tokens`"
                f" ({longest.max_new_tokens}) it does not fit its context of {room}"
            ),
        )
    yield from _generation_prompt(settings, ids, rendered)


def _generation_prompt(
    settings: Settings, ids: list[int], replies: Sequence[Tokens | None]
) -> Iterator[Finding]:
    """Find out whether the server's template begins an answer as it ends a prompt."""
    match replies:
        case [Tokens(tokens=bare), Tokens(tokens=one), Tokens(tokens=other)] if ids == bare:
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
