"""Prompts as a server tokenises them, beside the same prompts as the same model is asked and trained here."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import Any

from dsl.data.records import Prompt
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.steps.identity import Canonical, digest
from dsl.steps.prompt_forms import ChatPrompt
from dsl.steps.steps import GenerateStep, Step
from dsl.steps.training_steps import TuningStep
from dsl.values import Sha256, Value
from runners.contract.findings import Finding, made_by
from runners.prompting.tokens import chat_template, token_ids

CODE = ("runners.contract.rendering",)
"""Modules that make these findings."""

_N_SHOWN = 8
"""Tokens of either side that a finding quotes."""


class Rendering(Value):
    """A prompt, the tokens that a server makes of it, and the weights of that name in the same study."""

    name: str
    """The model, as its server calls it."""
    weights: Weights
    is_used: bool
    """A step asks or trains these weights with prompts of this form."""
    what: str
    """Name of the prompt, as `the prompt of q1`."""
    prompt: Prompt
    tokens: tuple[int, ...]

    @property
    def key(self) -> Sha256:
        return digest((made_by(CODE), Canonical().text(self)))


def weights_named(name: str, steps: Iterable[Step], *, is_chat: bool) -> tuple[Weights, bool] | None:
    """Find the weights that a served model is named after, and tell whether a step uses them with prompts of
    this form; None where no step loads such weights."""
    found: dict[bool, Weights] = {}
    for step in steps:
        weights = step.model if isinstance(step, GenerateStep) else getattr(step, "weights", None)
        if isinstance(weights, Weights) and _is_named(weights, name):
            found.setdefault(is_chat in _forms(step), weights.loaded_here)
    return next(((found[is_used], is_used) for is_used in (True, False) if is_used in found), None)


def difference(rendering: Rendering, tokenizer: Any) -> Iterator[Finding]:
    """Compare a server's tokens with those of the same prompt here, and tell where they part.

    A template that prints the day is no error: here that is always the same day. Nor is one that refuses the
    prompt here: where a step of the study asks that, its own check says so.
    """
    there = rendering.tokens
    try:
        here = tuple(token_ids(tokenizer, rendering.prompt))
    except DataError as error:
        message = (
            f"{rendering.what}, as the server of {rendering.name} reads it, is compared with nothing here"
        )
        yield Finding(level="warning", message=f"{message}: {error}")
        return
    if there == here:
        return
    at = next(place for place, (one, other) in enumerate(zip_longest(there, here)) if one != other)
    shown = [_shown(tokenizer, ids[at : at + _N_SHOWN]) for ids in (there, here)]
    is_chat = rendering.prompt.messages is not None
    has_day = is_chat and "strftime_now" in chat_template(tokenizer)
    remedy = "Start the server with the tokenizer and the chat template of these weights"
    if has_day:
        remedy = "The chat template prints the day, which is the same for every prompt here"
    form = "a chat" if is_chat else "a text"
    yield Finding(
        level="error" if rendering.is_used and not has_day else "warning",
        message=(
            f"the server of {rendering.name} reads {rendering.what} otherwise than {rendering.weights.source}"
            f" reads {form} here, from token {at + 1} on: {shown[0]} on the server, {shown[1]} here."
            f" {remedy}"
        ),
    )


def _shown(tokenizer: Any, ids: tuple[int, ...]) -> str:
    return f"{tokenizer.decode(list(ids))!r} (token {ids[0]})" if ids else "nothing more"


def _is_named(weights: Weights, name: str) -> bool:
    """Compare a served name with that of weights: a folder by its whole path, since `model` is many."""
    known = (weights.hub, weights.package, weights.file)
    return name == weights.path or any(_is_same(name, one) for one in known if one)


def _is_same(name: str, other: str) -> bool:
    """Compare the last parts of two names, and their owners on a hub where both have one."""
    owners = {_owner(name), _owner(other)} - {None}
    return _bare(name) == _bare(other) and len(owners) <= 1


def _owner(name: str) -> str | None:
    parts = PurePosixPath(name).parts
    return parts[0].casefold() if len(parts) == 2 and parts[0] != "/" else None


def _bare(name: str) -> str:
    """The last part of a name, in small letters and without the ending of its file."""
    return PurePosixPath(name).name.casefold().removesuffix(".gguf")


def _forms(step: Step) -> set[bool]:
    """Forms of a step's prompts: True for chats."""
    if isinstance(step, GenerateStep):
        return {isinstance(step.prompt, ChatPrompt)}
    return {isinstance(form, ChatPrompt) for form in step.prompts} if isinstance(step, TuningStep) else set()
