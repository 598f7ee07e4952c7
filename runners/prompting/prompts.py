"""Prompts: the only place that builds them, for training and for generation alike.

A text prompt has URIAL's form (arXiv 2312.01552): a preamble, worked examples, and the open end that the
model continues. Its tags and preamble are those of the language that is asked; worked examples in another
language stand under the asked language's tags, so that only the examples change. A chat prompt is a list of
messages for the tokenizer's chat template, or the project's own.

An example's earlier turns come before its question: in a text as further queries and answers under the same
tags, behind the worked examples, and its system message below the preamble; in a chat as they are, with the
row's own system message in the place of the prompt text's.
"""

import hashlib
from pathlib import Path

from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.data.prompt_text import PromptTemplate, parse_prompt_text, read_prompt_text
from dsl.data.records import Example, Message, Prompt
from dsl.data.yaml_values import value_sha256
from dsl.errors import DataError
from dsl.steps.prompt_forms import ChatPrompt, PromptForm, PromptText
from runners.prompting.demonstrations import Pool
from runners.prompting.tokens import CHAT_TEMPLATE
from runners.store.step_io import StepContext


def read_text(text: PromptText) -> PromptTemplate:
    """The prompt text a step names.

    Raises DataError when the file is missing, is not the one that was planned (its hash differs), or is not a
    prompt text.
    """
    path = Path(text.path) if text.path is not None else PROMPT_TEXTS / f"{text.language}.yaml"
    if text.path is None:
        return parse_prompt_text(_read_planned(path, text.sha256), path)
    found = read_prompt_text(path)
    # steps of earlier versions have the digest of the bytes
    if text.sha256 != value_sha256(found):
        _read_planned(path, text.sha256)
    return found


class Prompter:
    """Builds a step's prompts. `seed` draws random demonstrations; `context` has their pool."""

    def __init__(self, form: PromptForm, context: StepContext, seed: int | None = None) -> None:
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
        self._pool = None if form.demonstrations is None else Pool(form.demonstrations, context, seed)
        self._fixed = shown.demonstrations[: form.num_fewshot]
        if self._pool is None and len(self._fixed) < form.num_fewshot:
            raise DataError(
                f"the {shown.language} prompt text has {len(self._fixed)} demonstrations; `num_fewshot` asks"
                f" for {form.num_fewshot}"
            )

    def prompt(self, example: Example) -> Prompt:
        """Return the prompt of one example.

        Raises DataError when the demonstrations' pool is too small once the asked item is kept out.
        """
        if isinstance(self._form, ChatPrompt):
            messages = (*example.turns, Message(role="user", content=example.instruction))
            if self._system is not None and messages[0].role != "system":
                messages = (Message(role="system", content=self._system), *messages)
            return Prompt(
                messages=tuple((one.role, one.content) for one in messages),
                chat_template_kwargs=self._form.chat_template_kwargs,
            )
        shown = self._fixed if self._pool is None else self._pool.choose(example, self._form.num_fewshot)
        text = (
            self._text.preamble.rstrip() + "\n" if self._form.preamble and self._text.preamble.strip() else ""
        )
        system, earlier = _in_pairs(example)
        if system is not None:
            text += f"\n{system.strip()}\n"
        for one in shown:
            text += open_end(self._text, one.query.strip()) + closed(one.answer)
        for query, answer in earlier:
            text += open_end(self._text, query) + closed(answer)
        asked = text + open_end(self._text, example.instruction)
        return Prompt(text=asked, stop_strings=self._stop_strings, ends_at_fence=self._form.ends_at_fence)


def _in_pairs(example: Example) -> tuple[str | None, list[tuple[str, str]]]:
    """A conversation as its system message, and its earlier questions each with the answer.

    Raises DataError where they do not alternate: there is no place for them in a text prompt then.
    """
    turns = list(example.turns)
    system = turns.pop(0).content if turns and turns[0].role == "system" else None
    roles = [one.role for one in turns]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise DataError(
            f"item {example.item} in `{example.language}`: a text prompt puts one answer below each question;"
            f" before the last question the turns are {', '.join(roles)}. A chat prompt may take them"
        )
    return system, [(q.content, a.content) for q, a in zip(turns[::2], turns[1::2], strict=True)]


def closed(answer: str) -> str:
    """An answer in a text prompt, with the fence that closes it."""
    return f"{answer.strip()}\n```\n"


def open_end(text: PromptTemplate, query: str) -> str:
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
