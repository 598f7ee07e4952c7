"""Prompts as tokens: the only place that applies chat templates and tokenizers.

Only a template writes special tokens; in what a person or a model wrote they are words.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dsl.data.records import Prompt
from dsl.errors import DataError
from dsl.values import TemplateArguments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT_TEMPLATE = Path(__file__).resolve().parent / "chat_template.jinja"


Messages = Sequence[tuple[str, str]]
"""(role, content), first to last."""


_TODAY = datetime(2024, 7, 26, tzinfo=UTC)
"""The day that chat templates print for today, so that a prompt is the same tomorrow."""


def render(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """Render the text of a prompt."""
    if prompt.text is not None:
        return prompt.text
    with _taken_by_the_template(prompt.messages or ()):
        return render_chat(
            tokenizer,
            prompt.messages or (),
            add_generation_prompt=True,
            arguments=prompt.chat_template_kwargs,
        )


def token_ids(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Return the tokens of a prompt.

    Raises DataError where the chat template refuses its messages.
    """
    if prompt.text is not None:
        return encode(tokenizer, prompt.text, is_chat=False)
    with _taken_by_the_template(prompt.messages or ()):
        return chat_token_ids(
            tokenizer,
            prompt.messages or (),
            add_generation_prompt=True,
            arguments=prompt.chat_template_kwargs,
        )


@contextmanager
def _taken_by_the_template(messages: Messages) -> Generator[None]:
    from jinja2 import TemplateError

    try:
        yield
    except TemplateError as error:
        roles = ", ".join(role for role, _ in messages)
        raise DataError(f"the chat template refuses a conversation of {roles}: {error}") from error


def chat_token_ids(
    tokenizer: PreTrainedTokenizerBase,
    messages: Messages,
    add_generation_prompt: bool,
    arguments: TemplateArguments = (),
) -> list[int]:
    """Return the tokens of a rendered chat; only the template writes special tokens.

    A message with `</s>` or `<|im_end|>` in it, perhaps a judged answer, ends no turn: there they are words.
    """
    words = Words.of(tokenizer, [content for _, content in messages])
    return words.token_ids(words.render(messages, add_generation_prompt, arguments), is_beginning=True)


@dataclass(frozen=True)
class Words:
    """Special tokens that occur in someone's text, and marks that replace them while a template is
    rendered."""

    tokenizer: PreTrainedTokenizerBase
    marks: Mapping[str, str]
    """Token -> mark."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Self:
        """Find those that any of the texts holds, the longest first."""
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        written = sorted(
            (token for token in special if any(token in text for text in texts)), key=len, reverse=True
        )
        # for private use: they mean nothing
        return cls(tokenizer, {token: f"\ue000{place}\ue001" for place, token in enumerate(written)})

    def mark(self, text: str) -> str:
        """The text with marks in place of its special tokens."""
        if not self.marks:
            return text
        return re.sub("|".join(map(re.escape, self.marks)), lambda found: self.marks[found[0]], text)

    def render(
        self, messages: Messages, add_generation_prompt: bool, arguments: TemplateArguments = ()
    ) -> str:
        """The chat as a template renders it around marked contents."""
        return render_chat(
            self.tokenizer,
            [(role, self.mark(content)) for role, content in messages],
            add_generation_prompt,
            arguments,
        )

    def answers(self, messages: Messages, arguments: TemplateArguments = ()) -> list[tuple[int, int]] | None:
        """Borders of the answers in the rendered chat, by the template's `{% generation %}`.

        None where it has none, or refuses the chat as it is.
        """
        from jinja2 import TemplateError
        from transformers.utils import chat_template_utils

        templates: Any = chat_template_utils
        template = chat_template(self.tokenizer)
        if not re.search(r"\{%-?\s*generation\s*-?%\}", template):
            return None
        text = self.render(messages, add_generation_prompt=True, arguments=arguments)
        try:
            (rendered,), (places,) = templates.render_jinja_template(
                [[{"role": role, "content": self.mark(content)} for role, content in messages]],
                chat_template=template,
                return_assistant_tokens_mask=True,
                add_generation_prompt=True,
                **self.tokenizer.special_tokens_map,
                **dict(arguments),
            )
        except TemplateError:
            return None
        return places if rendered == text else None

    def token_ids(self, marked: str, *, is_beginning: bool) -> list[int]:
        """Return the tokens of a marked text: special ones where the text has them, words where it has marks.

        The text's beginning has one BOS where the tokenizer uses one.
        """
        tokens = {mark: token for token, mark in self.marks.items()}
        ids: list[int] = []
        for piece in re.split("(\ue000\\d+\ue001)", marked) if tokens else [marked]:
            token = tokens.get(piece)
            ids += encode_piece(self.tokenizer, token or piece, split_special_tokens=token is not None)
        return _with_one_bos(self.tokenizer, ids) if is_beginning else ids


def render_chat(
    tokenizer: PreTrainedTokenizerBase,
    messages: Messages,
    add_generation_prompt: bool,
    arguments: TemplateArguments = (),
) -> str:
    """Messages through the tokenizer's own chat template, or through the project's where it has none.

    Where a template refuses a system message, it is put above the first question. Raises DataError for an
    argument that it does not read.
    """
    from jinja2 import TemplateError

    try:
        return _apply(tokenizer, messages, add_generation_prompt, arguments)
    except TemplateError:
        if len(messages) < 2 or messages[0][0] != "system":
            raise
        first = (messages[1][0], f"{messages[0][1]}\n\n{messages[1][1]}")
        return _apply(tokenizer, [first, *messages[2:]], add_generation_prompt, arguments)


def _apply(
    tokenizer: Any,
    messages: Messages,
    add_generation_prompt: bool,
    arguments: TemplateArguments,
) -> str:
    from transformers.utils import chat_template_utils

    templates: Any = chat_template_utils  # its public functions tell neither variables nor globals
    template = chat_template(tokenizer)
    if unread := sorted(dict(arguments).keys() - templates._get_template_variables(template)):
        raise DataError(f"`chat_template_kwargs`: the chat template does not read {', '.join(unread)}")
    # transformers hands a template data only, no function; what it compiled it keeps, and renders here and in
    # its pipelines.
    templates._compile_jinja_template(template).globals["strftime_now"] = _TODAY.strftime
    return tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in messages],
        chat_template=template,
        add_generation_prompt=add_generation_prompt,
        tokenize=False,
        **dict(arguments),
    )


def chat_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The tokenizer's own template, or the project's."""
    own: str | None = getattr(tokenizer, "chat_template", None)
    return own or _own_template()


@cache
def _own_template() -> str:
    return CHAT_TEMPLATE.read_text("utf-8")


def encode(tokenizer: PreTrainedTokenizerBase, text: str, is_chat: bool) -> list[int]:
    """Return the token ids of a whole prompt: one BOS in front where the tokenizer uses one, and no EOS.

    In a text prompt, words that look like special tokens (`</s>` in a question about HTML) are words. A
    rendered chat holds special tokens, a BOS perhaps among them: it is not given a second one. Raises
    ValueError where a chat template writes two.
    """
    return _with_one_bos(tokenizer, encode_piece(tokenizer, text, split_special_tokens=not is_chat))


def encode_piece(tokenizer: Any, text: str, *, split_special_tokens: bool) -> list[int]:
    """Return the token ids of a text without BOS and EOS, its special tokens split into words if asked
    for."""
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=split_special_tokens)


def _with_one_bos(tokenizer: Any, ids: list[int]) -> list[int]:
    if uses_bos(tokenizer) and ids[:1] != [tokenizer.bos_token_id]:
        ids = [tokenizer.bos_token_id, *ids]
    if uses_bos(tokenizer) and ids[1:2] == [tokenizer.bos_token_id]:
        raise ValueError("the chat template writes the beginning-of-sequence token twice")
    return ids


def uses_bos(tokenizer: Any) -> bool:
    """Check if this tokenizer begins every text with a BOS token: many name one and do not use it."""
    return tokenizer.bos_token_id is not None and tokenizer.encode("", add_special_tokens=True)[:1] == [
        tokenizer.bos_token_id
    ]


@dataclass(frozen=True)
class AnswerEnd:
    """The end of an answer, as a conversation puts it there."""

    before: str
    """Text between the answer and its end: nothing, or white space."""
    token: int
    behind: str
    """All that the template writes behind an answer, the end included."""


def end_of_answer(tokenizer: Any, eos_ids: frozenset[int], is_chat: bool) -> AnswerEnd:
    """Return the end that a trained answer gets.

    In a chat it is the token that its template puts there, where generation stops at it; else EOS.

    Raises DataError where there is none.
    """
    # the project's own writes EOS
    has_template = tokenizer.chat_template or tokenizer.eos_token_id is not None
    behind = _behind_answer(tokenizer) if is_chat and has_template else ""
    if is_chat and has_template and (end := turn_end(tokenizer)) in eos_ids:
        return AnswerEnd(behind[: len(behind) - len(behind.lstrip())], end, behind)
    if tokenizer.eos_token_id is None:
        raise DataError("the tokenizer names no end-of-sequence token: a model cannot be taught to stop")
    return AnswerEnd("", tokenizer.eos_token_id, behind)


def turn_end(tokenizer: Any) -> int | None:
    """The first token that a chat template puts behind an answer; None where it puts nothing."""
    ids: list[int] = tokenizer.encode(_behind_answer(tokenizer).strip(), add_special_tokens=False)
    return ids[0] if ids else None


def _behind_answer(tokenizer: PreTrainedTokenizerBase) -> str:
    """The text that a chat template puts behind an answer; none where it leaves the answer out."""
    return render_chat(
        tokenizer, [("user", "?"), ("assistant", "\x00")], add_generation_prompt=False
    ).partition("\x00")[2]
