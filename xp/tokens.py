"""Prompts and training rows of a cell as its model reads them: token by token, with ids."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsl.data.records import Completion, Example
from dsl.engines.transformers import Weights
from dsl.errors import ArgumentError
from dsl.messages import escaped
from dsl.steps.steps import GenerateStep, Step
from dsl.steps.training_steps import PreferenceStep, SelectStep, SftStep, TuningStep
from dsl.values import StepId
from runners.contract.training import rows_of_training
from runners.models.loading import Loaded, load_without_weights
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.store.step_io import StepContext, read_rows
from runners.store.store import Store, read_step
from runners.training.rows import Counts
from warehouse.connect import connect
from xp.show import cells_named
from xp.studies import warehouse_of

_WIDTH = 100
LEGEND = "id:'text' is a token, id:⟨text⟩ a special one; + is in the loss"


def tokens_of(store: Path, cell: str, item: str | None) -> str:
    """Show one item's prompt in the first cell that `cell` names, and one training row of each training step
    behind it, with the tokens that are learnt marked.

    Without `item` they are the first of each.

    Raises:
        ArgumentError: no cell, or nothing in it, is named so; or its model's tokenizer is not on this
            machine.
    """
    with connect(warehouse_of(store), read_only=True) as connection:
        found = cells_named(connection, cell)[0]
    held = Store(store)
    step = _step(held, found["generate_step_id"])
    if not isinstance(step, GenerateStep) or not isinstance(step.model, Weights) or step.prompt is None:
        raise ArgumentError(f"`{cell}`: its model is not loaded here, so its tokens are not known")
    loaded = load_without_weights(step.model, held.cache)
    tuned = None if step.tuned is None else _step(held, step.tuned)
    title = f"{found['language']} · {found['model']} · {found['method']}"
    parts = [*_prompt(step, held, loaded, item, title), *_training_row(tuned, held, loaded, item)]
    if not parts:
        raise ArgumentError(f"`{cell}` has no item `{item}`, and no training row of it")
    return "\n\n".join([LEGEND, *parts])


def _step(store: Store, step_id: StepId) -> Step:
    step = read_step(store.step_folder(step_id))
    if step is None or not store.is_done(step_id):
        raise ArgumentError(f"{step_id} has no result in this store yet, or another version made it")
    return step


def _context(step: Step, store: Store) -> StepContext:
    return StepContext({i: store.step_folder(i) for i in step.inputs}, store.cache)


def _prompt(step: GenerateStep, store: Store, loaded: Loaded, item: str | None, title: str) -> Iterator[str]:
    assert step.prompt is not None
    context = _context(step, store)
    examples = read_rows(context[step.examples] / "examples.jsonl", Example)
    example = next((one for one in examples if item in (None, one.item)), None)
    if example is None:
        return
    if step.after is not None:  # the model's own answers are in its conversation
        rows = read_rows(context[step.after] / "completions.jsonl", Completion)
        before = next(row for row in rows if row.item == example.item)
        said = {"role": "assistant", "content": before.text or ""}
        turns = (*(before.turns or example.turns[:-1]), example.turns[-1])
        example = Example.model_validate(
            {**example.model_dump(), "turns": [*(one.model_dump() for one in turns), said]}
        )
    ids = token_ids(loaded.tokenizer, Prompter(step.prompt, context, step.seed).prompt(example))
    yield f"━━ prompt of {escaped(example.item)} · {title} · {len(ids)} tokens\n{_shown(ids, loaded)}"


def _training_row(step: Step | None, store: Store, loaded: Loaded, item: str | None) -> Iterator[str]:
    if isinstance(step, SelectStep):  # its trials differ in settings of the training
        step = _step(store, next(iter(step.trials.values())))
    if not isinstance(step, TuningStep):
        return
    if isinstance(step, PreferenceStep) and step.policy is not None:
        yield from _training_row(_step(store, step.policy), store, loaded, item)
    _, rows = rows_of_training(step, _context(step, store), loaded, Counts())
    row = next((one for one in rows if item in (None, one.item)), None)
    if row is None:
        return
    head = f"━━ {step.kind} row {escaped(row.item)} · {row.language}"
    if isinstance(step, SftStep):
        learnt = [label != -100 for label in row.labels]
        yield (
            f"{head} · {len(learnt)} tokens, {sum(learnt)} in the loss\n"
            f"{_shown(row.prompt_ids + row.answers[0], loaded, learnt)}"
        )
        return
    for name, ids in zip(step.ANSWERS, row.answers, strict=True):
        learnt = [False] * len(row.prompt_ids) + [True] * len(ids)
        yield (
            f"{head} · {name} · {len(learnt)} tokens, {len(ids)} in the loss\n"
            f"{_shown(row.prompt_ids + ids, loaded, learnt)}"
        )


def _shown(ids: Sequence[int], loaded: Loaded, learnt: Sequence[bool] | None = None) -> str:
    """Lay tokens out in lines, a new one behind each token that ends a line of the text."""
    tokenizer: Any = loaded.tokenizer
    special = set(tokenizer.all_special_ids) | {
        token for token, one in tokenizer.added_tokens_decoder.items() if one.special
    }
    lines = [""]
    for at, token in enumerate(ids):
        text: str = tokenizer.decode([token])
        if "\ufffd" in text:  # a part of a character
            text = str(tokenizer.convert_ids_to_tokens(token))
        mark = "+" if learnt is not None and learnt[at] else ""
        word = f"{mark}{token}:⟨{text}⟩" if token in special else f"{mark}{token}:{text!r}"
        word = escaped(word)
        if lines[-1] and _cells(lines[-1]) + _cells(word) + 3 > _WIDTH:
            lines.append("")
        lines[-1] += f"  {word}"
        if text.endswith("\n"):
            lines.append("")
    return "\n".join(filter(None, lines))


def _cells(text: str) -> int:
    """Cells of a terminal that a text takes: letters of East Asian scripts take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
