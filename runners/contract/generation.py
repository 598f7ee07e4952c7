"""Prompts of a generate step as the model reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dsl.data.records import Example, Prompt
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.steps.prompt_forms import TextPrompt
from dsl.steps.steps import GenerateStep
from runners.contract.findings import Finding, among
from runners.inference.stop_strings import cut_at_stop
from runners.models.loading import Loaded
from runners.prompting.prompts import Prompter, read_text
from runners.prompting.tokens import AnswerEnd, end_of_answer, render, render_chat, token_ids, uses_bos
from runners.store.step_io import StepContext, read_rows
from runners.training.rows import answer_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

N_SAMPLED = 50
"""Prompts that are read as tokens, at least, where there are so many; a longer one is read besides where it
might not fit."""

Asked = Sequence[tuple[Example, Prompt]]


def generation_findings(step: GenerateStep, context: StepContext, loaded: Loaded) -> Iterator[Finding]:
    """Check the prompts of a step whose model is loaded here.

    Raises DataError where a prompt cannot be made.
    """
    assert step.prompt is not None
    prompter = Prompter(step.prompt, context, step.seed)
    examples = read_rows(context[step.examples] / "examples.jsonl", Example)
    asked = [(example, prompter.prompt(example)) for example in examples]
    if not asked:
        return
    yield from stop_findings(step, asked, context)
    if isinstance(step.prompt, TextPrompt):
        yield from _token_findings(step, asked, loaded)
    elif loaded.no_chat is not None:
        yield Finding(level="error", message=loaded.no_chat)
    else:
        yield from _generation_prompt(loaded.tokenizer, asked[0][1])
        yield from _token_findings(step, asked, loaded)


def stop_findings(step: GenerateStep, asked: Asked, context: StepContext) -> Iterator[Finding]:
    """Look for the stop strings of prompts in the worked examples and in the references: an answer like one
    of these would be cut."""
    if not isinstance(step.prompt, TextPrompt):
        return
    prompt = asked[0][1]

    def cut(texts: Iterable[tuple[str, str]]) -> dict[str, str]:
        ends = (
            (name, cut_at_stop(text, prompt.stop_strings, ends_at_fence=prompt.ends_at_fence)[1])
            for name, text in texts
        )
        return {name: stop for name, stop in ends if stop is not None}

    shown = list(_shown(step.prompt, context))
    known = [
        (example.item, text)
        for example, _ in asked
        for text in (example.reference, example.response, *example.answers)
        if text
    ]
    for where, texts in (("worked examples", shown), ("items' references", known)):
        if found := cut(texts):
            stops = " and ".join(sorted(map(repr, set(found.values()))))
            message = f"hold the stop string {stops}, where an answer is cut"
            yield among(found, len(dict(texts)), where, message).model_copy(update={"level": "warning"})


def _shown(form: TextPrompt, context: StepContext) -> Iterator[tuple[str, str]]:
    """Yield the answers that prompts may show, each with a name."""
    if form.demonstrations is not None:
        for row in read_rows(context[form.demonstrations.pool] / "examples.jsonl", Example):
            yield row.item, row.response or ""
        return
    text = read_text(form.demonstrations_text or form.text)
    for number, one in enumerate(text.demonstrations[: form.num_fewshot], 1):
        yield f"{text.language} {number}", one.answer


def _generation_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> Iterator[Finding]:
    """Find out whether a chat prompt ends where the template begins an answer."""
    messages, arguments = prompt.messages or (), prompt.chat_template_kwargs
    asked = render_chat(tokenizer, messages, add_generation_prompt=False, arguments=arguments)
    if asked != render(tokenizer, prompt):
        return
    answered = render_chat(
        tokenizer, [*messages, ("assistant", "\x00")], add_generation_prompt=False, arguments=arguments
    )
    opening = answered.removeprefix(asked).partition("\x00")[0]
    if answered.startswith(asked) and opening.strip():
        yield Finding(
            level="error",
            message=(
                f"the chat template has no generation prompt: it writes {opening!r} before an answer, and a"
                " prompt ends without it. Let it do so `if add_generation_prompt`"
            ),
        )


def _token_findings(step: GenerateStep, asked: Asked, loaded: Loaded) -> Iterator[Finding]:
    yield from _lengths(step, asked, loaded)
    tokenizer: Any = loaded.tokenizer
    end = AnswerEnd("", 0, "")
    if asked[0][1].text is None:
        with contextlib.suppress(DataError):  # a model that cannot be taught to stop may be asked
            end = end_of_answer(tokenizer, loaded.eos_ids, is_chat=True)
    sample = asked[:: max(1, len(asked) // N_SAMPLED)]
    bos, unknown, merged, n_answered = list[str](), list[str](), list[str](), 0
    for example, prompt in sample:
        ids = token_ids(tokenizer, prompt)
        has_answers = any(role == "assistant" for role, _ in prompt.messages or ())  # each may begin anew
        if uses_bos(tokenizer) and not has_answers and ids.count(tokenizer.bos_token_id) != 1:
            bos.append(example.item)
        if loaded.missing_embeddings(ids) is not None:
            unknown.append(example.item)
        answer = next(filter(None, (example.reference, example.response, *example.answers)), None)
        if answer is not None:
            n_answered += 1
            if answer_tokens(tokenizer, prompt, ids, answer, end).merges:
                merged.append(example.item)
    if bos:
        message = "hold the beginning-of-sequence token more than once, or not at all"
        yield among(bos, len(sample), "prompts", message).model_copy(update={"level": "error"})
    if unknown:
        yield among(unknown, len(sample), "prompts", "hold tokens that the model has no embedding for")
    if merged:
        message = "end within a token, if they are written together with the known answer"
        yield among(merged, n_answered, "prompts", message).model_copy(update={"level": "warning"})


def _lengths(step: GenerateStep, asked: Asked, loaded: Loaded) -> Iterator[Finding]:
    """Find prompts that do not fit the positions of the model, or those that its server is started for, or
    leave their answers too few of them."""
    served = step.model.most_positions if isinstance(step.model, Weights) else None
    limits = [limit for limit in (loaded.n_positions, served) if limit is not None]
    if (room := min(limits, default=None)) is None:
        return
    max_new_tokens = step.decoding.max_new_tokens
    full, tight = list[str](), list[str]()
    for example, prompt in asked:
        # a token is a byte at least: most prompts need not be read for this
        if len(render(loaded.tokenizer, prompt).encode()) + 2 + max_new_tokens > room:
            n_tokens = len(token_ids(loaded.tokenizer, prompt))
            if n_tokens >= room:
                full.append(example.item)
            elif n_tokens + max_new_tokens > room:
                tight.append(example.item)
    positions = f"in the model's {room} positions"
    if full:
        yield among(full, len(asked), "prompts", f"leave no room for an answer {positions}")
    if tight:
        message = f"leave less room than `max_new_tokens` ({max_new_tokens}) {positions}"
        yield among(tight, len(asked), "prompts", message).model_copy(update={"level": "warning"})
