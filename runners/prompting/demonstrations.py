"""Demonstrations for a prompt, from a data set: the first, some drawn by seed, or the most similar (BM25)."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsl.data.normalise import normalise, questions
from dsl.data.prompt_text import Demonstration
from dsl.data.records import Example
from dsl.errors import DataError
from dsl.steps.prompt_forms import Demonstrations
from runners.prompting.word_breaks import broken
from runners.store.step_io import StepContext, read_rows


class Pool:
    """Pool of rows that may be shown.

    The asked item and its translations never are, nor is a row that asks the same in the same words.

    `seed` draws the order of random ones.
    """

    def __init__(self, source: Demonstrations, context: StepContext, seed: int | None) -> None:
        # a demonstration has one question and its answer, and nothing before them
        rows = _examples(context[source.pool])
        self._rows = [row for row in rows if row.instruction and row.response and not row.turns]
        self._asked_as: dict[str, set[str]] = {}
        """Item -> its questions in every language, normalised."""
        for step in source.keep_out:
            for row in _examples(context[step]):
                self._asked_as.setdefault(row.item, set()).update(questions(row))
        self._same_items = source.pool in source.keep_out
        """Item ids are comparable only where the pool is one of the evaluated sets."""
        self._normalised = [normalise(row.instruction) for row in self._rows]
        self._order = list(range(len(self._rows)))
        self._index = _bm25([row.instruction for row in self._rows]) if source.select == "bm25" else None
        if source.select == "random":
            if seed is None:
                raise ValueError("random demonstrations need a seed")
            # One draw for the whole step: all items see the same examples, and their prompts share a prefix.
            random.Random(seed).shuffle(self._order)

    def choose(self, example: Example, k: int) -> list[Demonstration]:
        """Return the first k rows allowed, in order.

        For BM25 the k most similar instructions, the most similar last, next to the question.
        """
        asked_as = {*questions(example), *self._asked_as.get(example.item, ())}
        allowed = [
            at
            for at in self._order
            if self._normalised[at] not in asked_as
            and not (self._same_items and self._rows[at].item == example.item)
        ]
        if len(allowed) < k:
            raise DataError(
                f"{len(allowed)} rows to show as examples for item {example.item}; `num_fewshot` asks for {k}"
            )
        if self._index is not None:
            scores = _scores(self._index, example.instruction, len(self._rows))
            allowed.sort(key=lambda at: -scores[at])
            allowed[:k] = allowed[:k][::-1]
        return [
            Demonstration(query=self._rows[at].instruction, answer=self._rows[at].response or "")
            for at in allowed[:k]
        ]


def _examples(folder: Path) -> list[Example]:
    return list(read_rows(folder / "examples.jsonl", Example))


def _bm25(texts: Sequence[str]) -> Any:
    import bm25s  # pyright: ignore[reportMissingTypeStubs]  # it comes without types

    index: Any = bm25s.BM25()
    index.index(_words(texts), show_progress=False)
    return index


def _scores(index: Any, query: str, n_rows: int) -> Sequence[float]:
    words = [word for word in _words([query])[0] if word in index.vocab_dict]
    return index.get_scores(words).tolist() if words else [0.0] * n_rows


def _words(texts: Sequence[str]) -> list[list[str]]:
    # No stop words: the library's are English ones, and BM25 weighs frequent words down by itself.
    return [[word for run in normalise(text).split() for word in broken(run)] for text in texts]
