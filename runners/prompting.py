"""Prompts: the only place that builds them, for training and for generation alike.

A text prompt has URIAL's form (arXiv 2312.01552): a preamble, worked examples, and the open end that the model continues. Its tags and
preamble are those of the language that is asked; worked examples in another language stand under the asked language's tags, so that only
the examples change. A chat prompt is a list of messages for the tokenizer's chat template, or the project's own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dsl.errors import DataError
from dsl.prompt_text import PromptFile, parse_prompt_text
from dsl.records import Example, Prompt
from dsl.steps import ChatPrompt, PromptForm, PromptText
from runners.demonstrations import Pool
from runners.work import Inputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HERE = Path(__file__).resolve().parent
CHAT_TEMPLATE = HERE / "chat_template.jinja"

Messages = Sequence[tuple[str, str]]
"""(role, content), first to last."""


class _TemplateDay(datetime):
    """A clock that stands still: templates that print today's date print this one, so that a prompt is the same tomorrow."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _TemplateDay:
        return cls(2024, 7, 26)


def read_text(text: PromptText) -> PromptFile:
    """The prompt text a step names.

    Raises DataError when the file is missing, is not the one that was planned (its hash differs), or is not a prompt text.
    """
    path = Path(text.path) if text.path is not None else HERE / "prompts" / f"{text.language}.yaml"
    content = _read_planned(path, text.sha256)
    return parse_prompt_text(content, path)


class Prompter:
    """Builds a step's prompts. `seed` draws random demonstrations; `inputs` has their pool."""

    def __init__(self, form: PromptForm, inputs: Inputs, seed: int | None = None) -> None:
        self._form = form
        if isinstance(form, ChatPrompt):
            _read_planned(CHAT_TEMPLATE, form.template)
            self._system = read_text(form.system).system if form.system is not None else None
            if form.system is not None and self._system is None:
                raise DataError(f"the {form.system.language} prompt text has no `system` message")
            return
        self._text = read_text(form.text)
        shown = read_text(form.demonstrations_text) if form.demonstrations_text is not None else self._text
        self._stop_strings = tuple(dict.fromkeys([*self._text.stop_strings, *shown.stop_strings]))
        self._pool = None if form.demonstrations is None else Pool(form.demonstrations, inputs, seed)
        self._fixed = shown.demonstrations[: form.num_fewshot]
        if self._pool is None and len(self._fixed) < form.num_fewshot:
            raise DataError(
                f"the {shown.language} prompt text has {len(self._fixed)} demonstrations; `num_fewshot` asks for {form.num_fewshot}"
            )

    def prompt(self, example: Example) -> Prompt:
        """What the model is asked for one example.

        Raises DataError when the demonstrations' pool is too small once the asked item is kept out.
        """
        if isinstance(self._form, ChatPrompt):
            system = [("system", self._system)] if self._system is not None else []
            return Prompt(messages=(*system, ("user", example.instruction)))
        shown = self._fixed if self._pool is None else self._pool.choose(example, self._form.num_fewshot)
        text = self._text.preamble.rstrip() + "\n" if self._form.preamble and self._text.preamble.strip() else ""
        for one in shown:
            text += open_end(self._text, one.query.strip()) + one.answer.strip() + "\n```\n"
        return Prompt(text=text + open_end(self._text, example.instruction), stop_strings=self._stop_strings)


def open_end(text: PromptFile, query: str) -> str:
    """The end of a text prompt, which an answer continues."""
    return f"\n{text.query_tag}\n```\n{query}\n```\n\n{text.answer_tag}\n```\n"


def _read_planned(path: Path, sha256: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path} has changed since the study was planned. Plan it again")
    return content.decode("utf-8")


# ---------------------------------------------------------------- from prompts to tokens


def render(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """The text a model is handed for a prompt."""
    return prompt.text if prompt.text is not None else render_chat(tokenizer, prompt.messages or (), add_generation_prompt=True)


def token_ids(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """The tokens a model is handed for a prompt."""
    if prompt.text is not None:
        return encode(tokenizer, prompt.text, is_chat=False)
    return chat_token_ids(tokenizer, prompt.messages or (), add_generation_prompt=True)


def chat_token_ids(tokenizer: PreTrainedTokenizerBase, messages: Messages, add_generation_prompt: bool) -> list[int]:
    """The tokens of a rendered chat. Only the template writes special tokens: whoever wrote a message with `</s>` or `<|im_end|>` in it,
    a model whose answer is judged perhaps, ends no turn with that; there they are words."""
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    written = sorted((token for token in special if any(token in content for _, content in messages)), key=len, reverse=True)
    if not written:
        return encode(tokenizer, render_chat(tokenizer, messages, add_generation_prompt), is_chat=True)
    marks = {token: f"\ue000{place}\ue001" for place, token in enumerate(written)}  # for private use: no text means anything by them
    looked_for = re.compile("|".join(map(re.escape, written)))
    marked = [(role, looked_for.sub(lambda found: marks[found[0]], content)) for role, content in messages]
    ids: list[int] = []
    for piece in re.split("(\ue000\\d+\ue001)", render_chat(tokenizer, marked, add_generation_prompt)):
        token = next((token for token, mark in marks.items() if mark == piece), None)
        ids += tokenizer.encode(token or piece, add_special_tokens=False, split_special_tokens=token is not None)
    return _with_one_bos(tokenizer, ids)


def render_chat(tokenizer: PreTrainedTokenizerBase, messages: Messages, add_generation_prompt: bool) -> str:
    """Messages through the tokenizer's own chat template, or through the project's where it has none.

    Where a template refuses a system message, it is put above the first question.
    """
    from jinja2 import TemplateError

    template = chat_template(tokenizer)
    try:
        return _apply(tokenizer, template, messages, add_generation_prompt)
    except TemplateError:
        if len(messages) < 2 or messages[0][0] != "system":
            raise
        first = (messages[1][0], f"{messages[0][1]}\n\n{messages[1][1]}")
        return _apply(tokenizer, template, [first, *messages[2:]], add_generation_prompt)


def chat_template(tokenizer: PreTrainedTokenizerBase) -> str | dict[str, str]:
    """The tokenizer's own chat template, or the project's where it has none."""
    return tokenizer.chat_template or _own_template()


def _apply(tokenizer: PreTrainedTokenizerBase, template: str | dict[str, str], messages: Messages, add_generation_prompt: bool) -> str:
    from transformers.utils import chat_template_utils

    chat_template_utils.datetime = (
        _TemplateDay  # `strftime_now` asks it, and no argument takes its place: transformers hands on plain data only
    )
    conversation = [{"role": role, "content": content} for role, content in messages]
    return tokenizer.apply_chat_template(
        conversation,
        chat_template=template["default"] if isinstance(template, dict) else template,
        add_generation_prompt=add_generation_prompt,
        tokenize=False,
        date_string=_TemplateDay.now().strftime("%d %b %Y"),
    )


@cache
def _own_template() -> str:
    return CHAT_TEMPLATE.read_text("utf-8")


def encode(tokenizer: PreTrainedTokenizerBase, text: str, is_chat: bool) -> list[int]:
    """Token ids of a whole prompt: with one BOS at its beginning where the tokenizer uses one, else with none; never with an EOS behind it.

    In a text prompt, words that look like special tokens (`</s>` in a question about HTML) are words. A rendered chat holds special tokens,
    a BOS perhaps among them: it is not given a second one. Raises ValueError where a chat template writes two.
    """
    return _with_one_bos(tokenizer, tokenizer.encode(text, add_special_tokens=False, split_special_tokens=not is_chat))


def _with_one_bos(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[int]:
    if uses_bos(tokenizer) and ids[:1] != [tokenizer.bos_token_id]:
        ids = [tokenizer.bos_token_id, *ids]
    if uses_bos(tokenizer) and ids[1:2] == [tokenizer.bos_token_id]:
        raise ValueError("the chat template writes the beginning-of-sequence token twice")
    return ids


def uses_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Does this tokenizer begin every text with a BOS token? Many name one and do not use it."""
    return tokenizer.bos_token_id is not None and tokenizer.encode("", add_special_tokens=True)[:1] == [tokenizer.bos_token_id]


def end_of_answer(tokenizer: PreTrainedTokenizerBase, eos_ids: frozenset[int], is_chat: bool) -> int:
    """The token that a trained answer ends with: EOS, or in a chat the token its template puts there, where generation stops at it."""
    if is_chat and tokenizer.chat_template:
        rendered = render_chat(tokenizer, [("user", "?"), ("assistant", "\x00")], add_generation_prompt=False)
        ids = tokenizer.encode(rendered.rpartition("\x00")[2].strip(), add_special_tokens=False)
        if ids and ids[0] in eos_ids:
            return ids[0]
    if tokenizer.eos_token_id is None:
        raise DataError("the tokenizer names no end-of-sequence token: a model cannot be taught to stop")
    return tokenizer.eos_token_id
