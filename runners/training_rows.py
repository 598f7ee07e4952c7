"""Rows to train on, as tokens: drawn, prompted, cut and counted alike for sft and dpo.

Rows are tokenised here, not in TRL: a prompt's tokens are those that generation hands the model, whatever follows them, and every answer ends
with one end-of-answer token. Where prompt and answer tokenised together would merge at their border, they are tokenised apart, and the row is
counted.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from dsl.errors import DataError
from dsl.fingerprint import fingerprint
from dsl.identity import digest
from dsl.pins import WEIGHTS, file_sha256, model_files
from dsl.records import Example, Prompt
from dsl.steps import PromptForm
from dsl.values import Language, Sha256, StepId, Value
from runners.models import Loaded
from runners.prompting import Prompter, chat_template, encode, end_of_answer, render, token_ids
from runners.work import Inputs, read_rows


@dataclass
class Counts:
    """What became of the rows."""

    n_rows: int = 0
    """Rows handed to the trainer."""
    n_without_answer: int = 0
    """Rows passed over before drawing, because an answer is missing or empty."""
    n_truncated: int = 0
    """Rows longer than `max_length`."""
    n_dropped: int = 0
    """Truncated rows whose prompt alone fills `max_length`: nothing is left to learn from them."""
    n_border_merges: int = 0
    n_tokens: int = 0
    """Tokens of the rows handed to the trainer, prompts included; a pair's prompt counts twice, as it is read twice."""
    answer_lengths: list[int] = field(default_factory=list)
    """Tokens of each answer in those rows, the end included."""


@dataclass(frozen=True)
class Row:
    """A prompt's tokens and those of the answers to it, in the order in which they were asked for."""

    item: str
    language: Language
    prompt_ids: list[int]
    answers: list[list[int]]

    @property
    def n_tokens(self) -> int:
        """As they are read: the prompt once for each answer."""
        return sum(len(self.prompt_ids) + len(ids) for ids in self.answers)

    @property
    def length(self) -> int:
        """Tokens of the prompt and the longest answer."""
        return len(self.prompt_ids) + max(map(len, self.answers))


def draw(
    steps: Sequence[StepId],
    prompts: Sequence[PromptForm],
    answers: Sequence[str],
    inputs: Inputs,
    rows: int | None,
    seed: int,
    counts: Counts,
) -> list[tuple[Example, PromptForm]]:
    """The rows to train on, each with its prompt's form: all that have the `answers` (names of fields), or `rows` of them drawn by seed.

    Each step's rows (one language's) are put into an order that hangs on the seed and the item alone, and taken in turn, one of each step. So
    languages are balanced; items that are the same in every language are drawn in every language; fewer rows are a part of more; and new rows
    in a data set leave the order of the others as it was. Raises DataError where there are fewer rows than asked for.
    """
    columns: list[list[tuple[Example, PromptForm]]] = []
    for step, form in zip(steps, prompts, strict=True):
        found = list(read_rows(inputs[step] / "examples.jsonl", Example))
        whole = [row for row in found if all((getattr(row, name) or "").strip() for name in answers)]
        counts.n_without_answer += len(found) - len(whole)
        columns.append([(row, form) for row in sorted(whole, key=lambda row: _place(seed, row.item))])
    in_turn = [pair for turn in zip_longest(*columns) for pair in turn if pair is not None]
    if rows is not None and rows > len(in_turn):
        raise DataError(f"`rows` asks for {rows}, and the training data has {len(in_turn)}")
    return in_turn[:rows]


def _place(seed: int, item: str) -> bytes:
    return hashlib.sha256(f"{seed} {item}".encode()).digest()


def tokenise(
    rows: Sequence[tuple[Example, PromptForm]],
    answers: Sequence[str],
    loaded: Loaded,
    inputs: Inputs,
    seed: int,
    max_length: int,
    counts: Counts,
) -> Iterator[Row]:
    """Prompts and `answers` (names of fields) as tokens; answers are cut to what the prompt leaves of `max_length`, and all of it counted.

    Raises DataError when no row is left.
    """
    prompters = {form: Prompter(form, inputs, seed) for form in {form: None for _, form in rows}}
    asked = [
        _Asked(prompt=prompters[form].prompt(example), answers=tuple(getattr(example, name) for name in answers)) for example, form in rows
    ]
    for (example, _), found in zip(rows, _tokens(asked, loaded, inputs.cache), strict=True):
        room = max_length - len(found.prompt_ids)
        counts.n_border_merges += found.merges
        counts.n_truncated += any(len(ids) > room for ids in found.answers)
        if room < 1:
            counts.n_dropped += 1
            continue
        row = Row(example.item, example.language, found.prompt_ids, [ids[:room] for ids in found.answers])
        counts.n_rows += 1
        counts.answer_lengths += [len(ids) for ids in row.answers]
        counts.n_tokens += row.n_tokens
        yield row
    if not counts.n_rows:
        raise DataError(
            f"no row to train on: of {len(rows)}, {counts.n_dropped} have prompts of {max_length} tokens (`max_length`) or more"
        )


# ---------------------------------------------------------------- tokens, made once


class _Asked(Value):
    """What a row's tokens are made of."""

    prompt: Prompt
    answers: tuple[str, ...]


class _Tokens(Value):
    """One row's tokens, not cut."""

    of: Sha256
    """Hash of the prompt and the answers."""
    prompt_ids: list[int]
    answers: list[list[int]]
    merges: bool
    """Whether tokens would have merged at the border of prompt and answer."""


def _tokens(asked: Sequence[_Asked], loaded: Loaded, cache: Path) -> Iterator[_Tokens]:
    """Each row's tokens, kept in the cache by content: steps that train on the same rows, in whatever order, tokenise them once."""
    keys = [hashlib.sha256(one.model_dump_json().encode()).hexdigest() for one in asked]
    name = hashlib.sha256(" ".join([_tokenizer_key(loaded), *sorted(set(keys))]).encode()).hexdigest()[:16]
    path = cache / "tokens" / f"{name}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")  # another process may be making the same
        aside.write_text("".join(_tokenised(*one, loaded).model_dump_json() + "\n" for one in dict(zip(keys, asked, strict=True)).items()))
        aside.replace(path)
    known = {row.of: row for row in read_rows(path, _Tokens)}
    return (known[key] for key in keys)


def _tokenizer_key(loaded: Loaded) -> str:
    """What decides on the tokens of a text: the tokenizer's files, the template, which tokens end an answer, the libraries, and this code."""
    folder = Path(loaded.tokenizer.name_or_path)
    files = [file for file in model_files(folder) if file.suffix not in WEIGHTS]
    libraries = [importlib.metadata.version(name) for name in ("transformers", "tokenizers")]
    own = (str(chat_template(loaded.tokenizer)), sorted(loaded.eos_ids), fingerprint("runners.training_rows", "runners.prompting"))
    return digest((*libraries, *own, [f"{file.relative_to(folder)} {file_sha256(file)}" for file in files]))


def _tokenised(key: Sha256, asked: _Asked, loaded: Loaded) -> _Tokens:
    text, is_chat = render(loaded.tokenizer, asked.prompt), asked.prompt.text is None
    prompt_ids = token_ids(loaded.tokenizer, asked.prompt)
    encoded = [_answer_ids(text, prompt_ids, answer, is_chat, loaded) for answer in asked.answers]
    return _Tokens(of=key, prompt_ids=prompt_ids, answers=[ids for ids, _ in encoded], merges=any(merges for _, merges in encoded))


def _answer_ids(prompt_text: str, prompt_ids: list[int], answer: str, is_chat: bool, loaded: Loaded) -> tuple[list[int], bool]:
    """An answer's tokens behind its prompt, the end-of-answer token last; and whether tokens would have merged at the border.

    Words of an answer that look like special tokens are words: only the last token ends it.
    """
    tokenizer = loaded.tokenizer
    together = encode(tokenizer, prompt_text + answer.strip(), is_chat)
    merges = together[: len(prompt_ids)] != prompt_ids
    ids = together[len(prompt_ids) :]
    if merges or not set(ids).isdisjoint(tokenizer.all_special_ids):
        ids = tokenizer.encode(answer.strip(), add_special_tokens=False, split_special_tokens=True)
    return [*ids, end_of_answer(tokenizer, loaded.eos_ids, is_chat)], merges
