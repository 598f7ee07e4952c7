"""Rows to train on, as tokens: drawn, prompted, cut and counted alike for all trainers.

Rows are tokenised here, not in TRL. In a chat a row is the conversation as its template renders it with the
answer in it: what the template puts before an answer (Mistral's space, Qwen3's empty thinking block) is
learnt with it. A prompt's tokens are those that generation hands the model, whatever follows them, and every
answer ends with one end-of-answer token. Where prompt and answer tokenised together would merge at their
border, they are tokenised apart, and the row is counted. A conversation that does not begin as the prompt
does cannot be cut, and is dropped and counted.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, takewhile, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.data.code_fingerprint import fingerprint
from dsl.data.fingerprints import WEIGHTS, file_sha256, model_files
from dsl.data.normalise import asked_in
from dsl.data.records import Example, Prompt
from dsl.data.written_files import written_aside
from dsl.errors import DataError
from dsl.steps.identity import digest
from dsl.steps.prompt_forms import ChatPrompt, PromptForm
from dsl.steps.training_settings import HeldOut
from dsl.steps.training_steps import Validation
from dsl.values import Language, Sha256, StepId, Value
from runners.models.loading import Loaded
from runners.prompting.prompts import Prompter, closed
from runners.prompting.tokens import (
    AnswerEnd,
    Words,
    chat_template,
    encode,
    encode_piece,
    end_of_answer,
    token_ids,
)
from runners.store.step_io import StepContext, read_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass
class Counts:
    """Counts of the rows, by what became of them."""

    n_rows: int = 0
    """Rows handed to the trainer."""
    n_without_answer: int = 0
    """Rows passed over before drawing, because an answer is missing or empty."""
    n_truncated: int = 0
    """Rows longer than `max_length`."""
    n_dropped: int = 0
    """Truncated rows whose prompt alone fills `max_length`: nothing is left to learn from them."""
    n_equal: int = 0
    """Rows whose answers are all the same, perhaps since they were cut: nothing tells the better one."""
    n_border_merges: int = 0
    n_unlike_template: int = 0
    """Rows dropped because the chat template renders their prompt otherwise once it is answered, as one that
    opens a thinking block may be."""
    n_tokens: int = 0
    """Tokens of the rows handed to the trainer, prompts included; a pair's prompt counts twice, as it is read
    twice."""
    answer_lengths: list[int] = field(default_factory=list[int])
    """Tokens of each answer in those rows, the end included."""
    max_length: int = 0
    """Tokens that a row may have: as many as asked for, or as the model has positions for."""
    answer_end: str = ""
    """The token that every answer ends with; several where the prompts' forms differ in it."""


@dataclass(frozen=True)
class Row:
    """A prompt's tokens and those of the answers to it, in the order in which they were asked for."""

    item: str
    language: Language
    prompt_ids: list[int]
    answers: list[list[int]]
    earlier: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Borders of answers in the prompt that are learnt, too."""

    @property
    def labels(self) -> list[int]:
        """Tokens of the prompt and the first answer that are learnt; -100 in the place of the others."""
        labels = [-100] * len(self.prompt_ids)
        for start, stop in self.earlier:
            labels[start:stop] = self.prompt_ids[start:stop]
        return labels + self.answers[0]

    @property
    def n_tokens(self) -> int:
        """As they are read: the prompt once for each answer."""
        return sum(len(self.prompt_ids) + len(ids) for ids in self.answers)

    @property
    def length(self) -> int:
        """Tokens of the prompt and the longest answer."""
        return len(self.prompt_ids) + max(map(len, self.answers))


Drawn = tuple[Example, PromptForm]
"""A row, and how it is put."""


def draw(
    steps: Sequence[StepId],
    prompts: Sequence[PromptForm],
    answers: Sequence[str],
    context: StepContext,
    rows: int | None,
    seed: int,
    counts: Counts,
    validation: Validation | None = None,
) -> tuple[list[Drawn], list[Drawn]]:
    """Draw the rows to train on, and those to evaluate on, each with its prompt's form.

    The first are all that have the `answers` (names of fields), or `rows` of them drawn by seed, but those
    that are held out for validation.

    Each step's rows (one language's) are put into an order that hangs on the seed and the item alone, and
    taken in turn, one of each step. So languages are balanced; items that are the same in every language are
    drawn in every language; fewer rows are a part of more; and new rows in a data set leave the order of the
    others as it was. Rows are held out from the end of that order, with their items in every language, so
    that fewer of them are a part of more, too; and with the items that have a question of theirs, so that
    nothing is evaluated on a question that is trained on.

    Raises DataError where there are fewer rows than asked for, or none is left to train on.
    """
    columns = _columns(steps, prompts, answers, context, seed, counts)
    in_turn = _in_turn(columns)
    n_rows = len(in_turn) if rows is None else rows
    if n_rows > len(in_turn):
        raise DataError(f"`rows` asks for {rows}, and the training data has {len(in_turn)}")
    if not isinstance(validation, HeldOut):
        evaluated = _columns(validation or (), prompts, answers, context, seed, Counts())
        return in_turn[:n_rows], _in_turn(evaluated)
    group_of = _groups(row for row, _ in in_turn)
    n_of_group, groups, n_held_out = Counter(group_of[row.item] for row, _ in in_turn), set[str](), 0
    for row, _ in _in_turn([column[::-1] for column in columns]):
        group = group_of[row.item]
        if n_held_out < max(1, round(validation.rows * n_rows)) and group not in groups:
            groups.add(group)
            n_held_out += n_of_group[group]
    if n_held_out >= n_rows:
        raise DataError(
            f"`validation` holds out {n_held_out} of {n_rows} rows, so that none is left to train on"
        )
    left = [pair for pair in in_turn if group_of[pair[0].item] not in groups]
    return left[: n_rows - n_held_out], [pair for pair in in_turn if group_of[pair[0].item] in groups]


def _groups(rows: Iterable[Example]) -> dict[str, str]:
    """Item -> one that stands for it and for all that share a question with it, if only through others."""
    above: dict[str, str] = {}
    first_with: dict[str, str] = {}

    def top(item: str) -> str:
        while (higher := above.setdefault(item, item)) != item:
            above[item] = item = above[higher]
        return item

    for row in rows:
        item, question = top(row.item), "\n".join(asked_in(row))
        if question.strip():
            above[item] = top(first_with.setdefault(question, item))
    return {item: top(item) for item in list(above)}


def _columns(
    steps: Sequence[StepId],
    prompts: Sequence[PromptForm],
    answers: Sequence[str],
    context: StepContext,
    seed: int,
    counts: Counts,
) -> list[list[Drawn]]:
    """Each step's rows that have the answers, by seed and item."""
    columns: list[list[Drawn]] = []
    for step, form in zip(steps, prompts, strict=bool(steps)):
        found = list(read_rows(context[step] / "examples.jsonl", Example))
        whole = [row for row in found if all((getattr(row, name) or "").strip() for name in answers)]
        counts.n_without_answer += len(found) - len(whole)
        columns.append([(row, form) for row in sorted(whole, key=lambda row: _place(seed, row.item))])
    return columns


def _in_turn(columns: Iterable[Sequence[Drawn]]) -> list[Drawn]:
    return [pair for turn in zip_longest(*columns) for pair in turn if pair is not None]


def _place(seed: int, item: str) -> bytes:
    return hashlib.sha256(f"{seed} {item}".encode()).digest()


def tokenise(
    rows: Sequence[Drawn],
    answers: Sequence[str],
    loaded: Loaded,
    context: StepContext,
    seed: int,
    max_length: int,
    counts: Counts,
    assistant_only_loss: bool = False,
) -> Iterator[Row]:
    """Tokenise prompts and `answers` (names of fields), and count what is cut or dropped.

    Answers are cut to what the prompt leaves of `max_length`, or of the model's positions where these are
    fewer. With `assistant_only_loss` the answers earlier in a conversation are found, too, but for those of
    weight 0 and one that follows no question.

    Raises DataError when no row is left, or where the model cannot read them: it fails on its own chat
    template, or lacks a token.
    """
    if loaded.no_chat is not None and any(isinstance(form, ChatPrompt) for _, form in rows):
        raise DataError(f"the model cannot be trained through its chat template: {loaded.no_chat}")
    prompters = {form: Prompter(form, context, seed) for form in {form: None for _, form in rows}}
    texts = [_texts(example, prompters[form], answers, assistant_only_loss) for example, form in rows]
    longest = counts.max_length = min(max_length, loaded.n_positions or max_length)
    counts.answer_end = " ".join(
        loaded.tokenizer.convert_ids_to_tokens(sorted({end.token for end in _ends(texts, loaded).values()}))
    )
    names = [f"item {example.item} in `{example.language}`" for example, _ in rows]
    for (example, _), name, found in zip(
        rows, names, _tokens(texts, names, loaded, context.cache), strict=True
    ):
        if found.is_unlike_template:
            counts.n_unlike_template += 1
            continue
        if (why := loaded.missing_embeddings(chain(found.prompt_ids, *found.answers))) is not None:
            raise DataError(f"{name}: {why}")
        room = longest - len(found.prompt_ids)
        counts.n_border_merges += found.merges
        counts.n_truncated += any(len(ids) > room for ids in found.answers)
        if room < 1:
            counts.n_dropped += 1
            continue
        row = Row(
            example.item,
            example.language,
            found.prompt_ids,
            [ids[:room] for ids in found.answers],
            found.earlier,
        )
        if len(answers) > 1 and all(ids == row.answers[0] for ids in row.answers):
            counts.n_equal += 1
            continue
        counts.n_rows += 1
        counts.answer_lengths += [len(ids) for ids in row.answers]
        counts.answer_lengths += [stop - start for start, stop in row.earlier]
        counts.n_tokens += row.n_tokens
        yield row
    if not counts.n_rows:
        limit = "`max_length`" if longest == max_length else "the model's positions"
        reasons = {
            f"have prompts of {longest} tokens ({limit}) or more": counts.n_dropped,
            "have a prompt that the chat template renders otherwise once it is answered (it opens a thinking"
            " block, perhaps); a text prompt can be trained on": counts.n_unlike_template,
            f"have equal answers ({', '.join(answers)}) once they are cut to {longest} tokens ({limit})": (
                counts.n_equal
            ),
        }
        counted = " and ".join(f"{n} {why}" for why, n in reasons.items() if n)
        raise DataError(f"no row to train on: of {len(rows)}, {counted}")


# ---------------------------------------------------------------- tokens, made once


class _Texts(Value):
    """Texts that a row's tokens are made of."""

    prompt: Prompt
    answers: tuple[str, ...]
    earlier: tuple[tuple[Prompt, str], ...] = ()
    """Earlier answers of the conversation that are learnt, each behind the prompt that it answers."""


def _texts(example: Example, prompter: Prompter, answers: Sequence[str], learns_all: bool) -> _Texts:
    prompt = prompter.prompt(example)
    earlier: list[tuple[Prompt, str]] = []
    for place, one in enumerate(example.turns if learns_all else ()):
        asked = example.turns[:place]
        if one.role == "assistant" and one.weight and asked and asked[-1].role == "user":
            cut = example.model_copy(update={"turns": asked[:-1], "instruction": asked[-1].content})
            earlier.append((prompter.prompt(cut), one.content))
    return _Texts(
        prompt=prompt, answers=tuple(getattr(example, name) for name in answers), earlier=tuple(earlier)
    )


class _Tokens(Value):
    """One row's tokens, not cut."""

    key: Sha256
    """Hash of the prompt and the answers."""
    prompt_ids: list[int]
    answers: list[list[int]]
    earlier: list[tuple[int, int]]
    merges: bool
    """Tokens would have merged at the border of prompt and answer."""
    is_unlike_template: bool
    """The answered conversation begins otherwise than the prompt."""


def _tokens(texts: Sequence[_Texts], names: Sequence[str], loaded: Loaded, cache: Path) -> Iterator[_Tokens]:
    """Return each row's tokens, cached by content.

    Steps that train on the same rows, in whatever order, tokenise them once.
    """
    keys = [hashlib.sha256(one.model_dump_json().encode()).hexdigest() for one in texts]
    name = hashlib.sha256(" ".join([_tokenizer_key(loaded), *sorted(set(keys))]).encode()).hexdigest()[:16]
    path = cache / "tokens" / f"{name}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # another process may be making the same
        ends, wanted = _ends(texts, loaded), dict(zip(keys, zip(texts, names, strict=True), strict=True))
        with written_aside(path, is_of_many=True) as aside:
            aside.write_text(
                "".join(
                    _tokenised(key, one, name, ends, loaded).model_dump_json() + "\n"
                    for key, (one, name) in wanted.items()
                )
            )
    known = {row.key: row for row in read_rows(path, _Tokens)}
    return (known[key] for key in keys)


def _tokenizer_key(loaded: Loaded) -> str:
    """Return a hash of all that decides on a text's tokens.

    That is the tokenizer's files, the template, the tokens that end an answer, the libraries, and this code.
    """
    tokenizer: Any = loaded.tokenizer
    folder = Path(tokenizer.name_or_path)
    files = [file for file in model_files(folder) if file.suffix not in WEIGHTS]
    libraries = [importlib.metadata.version(name) for name in ("transformers", "tokenizers")]
    own = (
        str(chat_template(loaded.tokenizer)),
        sorted(loaded.eos_ids),
        fingerprint("runners.training.rows", "runners.prompting.prompts"),
    )
    return digest((*libraries, *own, [f"{file.relative_to(folder)} {file_sha256(file)}" for file in files]))


def _ends(texts: Sequence[_Texts], loaded: Loaded) -> dict[bool, AnswerEnd]:
    """The end of an answer, in a chat or not, as far as there are such prompts."""
    return {
        is_chat: end_of_answer(loaded.tokenizer, loaded.eos_ids, is_chat)
        for is_chat in {one.prompt.text is None for one in texts}
    }


def _tokenised(
    key: Sha256, texts: _Texts, name: str, ends: Mapping[bool, AnswerEnd], loaded: Loaded
) -> _Tokens:
    """The tokens of a row; `name` names it in errors."""
    is_chat = texts.prompt.text is None
    try:
        prompt_ids = token_ids(loaded.tokenizer, texts.prompt)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    found = [
        answer_tokens(loaded.tokenizer, texts.prompt, prompt_ids, answer, ends[is_chat])
        for answer in texts.answers
    ]
    earlier = _earlier(loaded.tokenizer, texts, prompt_ids, ends[is_chat]) if texts.earlier else _Earlier()
    return _Tokens(
        key=key,
        prompt_ids=prompt_ids,
        answers=[one.ids for one in found],
        earlier=earlier.places,
        merges=earlier.merges or any(one.merges for one in found),
        is_unlike_template=earlier.is_unlike_template or any(one.is_unlike_template for one in found),
    )


@dataclass(frozen=True)
class AnswerTokens:
    """An answer's tokens, the end-of-answer token last. Special tokens in its text are words."""

    ids: list[int]
    merges: bool
    """Tokens would have merged at the border of prompt and answer."""
    is_unlike_template: bool = False
    """The answered conversation begins otherwise than the prompt."""


def answer_tokens(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, prompt_ids: list[int], answer: str, end: AnswerEnd
) -> AnswerTokens:
    """Return an answer's tokens behind those of its prompt."""
    answered = _chat_answer if prompt.text is None else _text_answer
    return answered(tokenizer, prompt, prompt_ids, answer.strip(), end)


def _text_answer(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, prompt_ids: list[int], answer: str, end: AnswerEnd
) -> AnswerTokens:
    together = encode(tokenizer, f"{prompt.text}{answer}", is_chat=False)
    merges = together[: len(prompt_ids)] != prompt_ids
    apart = encode_piece(tokenizer, answer, split_special_tokens=True)
    return AnswerTokens([*(apart if merges else together[len(prompt_ids) :]), end.token], merges)


def _chat_answer(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, prompt_ids: list[int], answer: str, end: AnswerEnd
) -> AnswerTokens:
    """Cut by position out of the conversation that the template renders with the answer in it."""
    messages = prompt.messages or ()
    words = Words.of(tokenizer, [answer, *(content for _, content in messages)])
    asked = words.render(messages, add_generation_prompt=True, arguments=prompt.chat_template_kwargs)
    answered = [*messages, ("assistant", answer)]
    conversation = words.render(answered, add_generation_prompt=False, arguments=prompt.chat_template_kwargs)
    if not (conversation.startswith(asked) and conversation.endswith(end.behind)):
        return AnswerTokens([], merges=False, is_unlike_template=True)
    text = conversation.removesuffix(end.behind) + end.before
    together = words.token_ids(text, is_beginning=True)
    merges = together[: len(prompt_ids)] != prompt_ids
    apart = words.token_ids(text.removeprefix(asked), is_beginning=False)
    return AnswerTokens([*(apart if merges else together[len(prompt_ids) :]), end.token], merges)


@dataclass
class _Earlier:
    """Places of earlier answers among a prompt's tokens, each with its end."""

    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    merges: bool = False
    """A token reaches over the border of an answer: it is learnt with it."""
    is_unlike_template: bool = False


def _earlier(
    tokenizer: PreTrainedTokenizerBase, texts: _Texts, prompt_ids: list[int], end: AnswerEnd
) -> _Earlier:
    if texts.prompt.text is not None:
        text = texts.prompt.text
        spans = [
            (len(one.text or ""), len(f"{one.text}{closed(said)}".rstrip())) for one, said in texts.earlier
        ]
        tokens = partial(encode, tokenizer, is_chat=False)
    else:
        messages = texts.prompt.messages or ()
        words = Words.of(tokenizer, [content for _, content in messages])
        arguments = texts.prompt.chat_template_kwargs
        text = words.render(messages, add_generation_prompt=True, arguments=arguments)
        spans = words.answers(messages, arguments)
        if spans is None or len(spans) != len(texts.earlier):  # the template does not know which are learnt
            spans = [_by_prefix(words, text, one, said, end) for one, said in texts.earlier]
        end_text = end.before + str(tokenizer.convert_ids_to_tokens(end.token))
        spans = [
            span and (span[0], span[1] + len(end_text) * text.startswith(end_text, span[1])) for span in spans
        ]
        tokens = partial(words.token_ids, is_beginning=True)
    found = _Earlier()
    for span in spans:
        if span is None:
            return _Earlier(is_unlike_template=True)
        start, stop = (tokens(text[:border]) for border in span)
        found.merges |= start != prompt_ids[: len(start)] or stop != prompt_ids[: len(stop)]
        found.places.append((_n_common(start, prompt_ids), _n_common(stop, prompt_ids)))
    return found


def _n_common(one: list[int], other: list[int]) -> int:
    """Tokens that two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _by_prefix(words: Words, text: str, asked: Prompt, said: str, end: AnswerEnd) -> tuple[int, int] | None:
    """Find an earlier answer in a rendered conversation, where that begins as it does up to the answer."""
    messages, arguments = asked.messages or (), asked.chat_template_kwargs
    before = words.render(messages, add_generation_prompt=True, arguments=arguments)
    through = words.render([*messages, ("assistant", said)], add_generation_prompt=False, arguments=arguments)
    answered = through.removesuffix(end.behind)
    if not (through.endswith(end.behind) and answered.startswith(before) and text.startswith(answered)):
        return None
    return len(before), len(answered)


def as_dataset(columns: Iterable[Mapping[str, object]]) -> Any:
    """Return rows as the `Dataset` that TRL's trainers read."""
    from datasets import Dataset  # pyright: ignore[reportMissingTypeStubs]  # it comes without types

    library: Any = Dataset
    return library.from_list(list(columns))
