"""`generate`: one model's answers to one set of examples.

Cached rows are reused: from an earlier attempt at this step, and from other steps, where the same weights
were handed the same prompt with the same decoding and seed. A larger `max_new_tokens` asks again only for the
answers that were cut by length, a further stop string only for those that it occurs in. A step that was
finished with rows on which its server failed asks again for those.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from dsl.data.random_order import in_random_order, slice_of
from dsl.data.records import Completion, Example, Message, Outcome, Prompt, Provenance, read_record
from dsl.engines.contract import EngineSettings
from dsl.engines.transformers import Weights
from dsl.errors import DataError, ServerError, XpError
from dsl.steps.identity import Canonical
from dsl.steps.prompt_forms import TextPrompt
from dsl.steps.steps import GenerateStep
from dsl.values import Sha256
from runners.engines import find_engine, resolved
from runners.engines.contract import Engine, EngineAnswer, EngineRequest, bounded
from runners.prompting.prompts import Prompter
from runners.store import batches, faults, provenance, spending
from runners.store.looks import is_settled
from runners.store.reusable_rows import reuse_rows
from runners.store.step_io import (
    RowWriter,
    StepContext,
    StepResult,
    read_rows,
    rewrite_rows,
    rows_left_open,
    tuned_weights,
)

FILE = "completions.jsonl"
FENCE = "```"

REPLICATE_BATCH_SIZE = 7
"""Rows of a replicate's batch where the method's own size is left to the engine; else it is half of that."""

_SHARED_FIELDS = EngineAnswer.model_fields.keys() & Completion.model_fields.keys()
"""Fields of a completion that are those of the engine's answer."""

Wanted = dict[str, tuple[Example, EngineRequest, str]]
"""Item -> its example, with the model's own answers in its conversation; what is asked; and the row's key."""


def run(step: GenerateStep, context: StepContext, out: Path) -> StepResult:
    """Write `completions.jsonl`, one `Completion` a line, as they are finished.

    Of slices that are put together, and of one that a settled contrast leaves out, nothing is asked.

    Raises:
        ServerError: the server does not answer, or has failed on so many rows that they are no result.
        XpError: not one example has a recorded answer.
    """
    if step.slices:
        return _put_together(step, context, out)
    if step.items and step.items.unless and is_settled(context[step.items.unless]):
        rewrite_rows(out / FILE, ())
        return StepResult(facts={"is_left_out": True})
    engine = find_engine(step.model.engine).Engine(
        _batched_otherwise(step.model) if step.replicate else step.model,
        context[step.tuned] if step.tuned else None,
        context.cache,
    )
    wanted = wanted_rows(step, context, engine)
    unasked = [*_unasked(step, context)]
    earlier = {row.item: row for row in rows_left_open((out, *context.earlier), FILE, Completion)}
    earlier = {
        item: row for item, row in earlier.items() if item in wanted and row.row_key == wanted[item][2]
    }
    if earlier:
        rewrite_rows(out / faults.MARKER, (row for row in earlier.values() if faults.is_open(row.n_faults)))
    cached = {item: row for item, row in earlier.items() if not faults.is_open(row.n_faults)}
    left = {item: one for item, one in wanted.items() if item not in cached}
    cached |= _reuse(step, left, engine, out, context)
    rewrite_rows(out / FILE, cached.values())
    n_rows = len(wanted) + len(unasked)
    context.report(len(cached), n_rows)
    facts = engine.facts
    step_provenance = provenance.of(
        step, device=facts.get("device"), dtype=facts.get("dtype"), commit=facts.get("commit")
    )
    failed = [row for row in cached.values() if row.finish_reason == "error"]
    unanswered = [row for row in cached.values() if row.text is None]
    with RowWriter(out / FILE) as writer:
        missing = {item: one for item, one in wanted.items() if item not in cached}
        if step.replicate:
            missing = dict(reversed(missing.items()))
        if missing:
            spending.begin()
        made = chain(_generated(step, engine, missing, earlier, step_provenance), unasked)
        for done, row in enumerate(made, len(cached) + 1):
            writer.write(row)
            if row.finish_reason == "error":
                failed.append(row)
            if row.text is None:
                unanswered.append(row)
            context.report(done, n_rows)
            spending.check()
    if step.prompt is None and unanswered and len(unanswered) == n_rows and context.part is None:
        raise XpError(f"not one of {n_rows} items has a recorded answer: {unanswered[0].error}")
    if not earlier:
        faults.check(step.model, [""] * len(wanted), [("", row.error or "") for row in failed])
    return StepResult(
        n_rows=n_rows,
        n_reused=len(cached),
        n_of_other_code=provenance.n_of_other_code(cached.values(), step),
        n_open=sum(faults.is_open(row.n_faults) for row in failed),
        load_seconds=engine.load_seconds,
        facts=facts,
    )


def _put_together(step: GenerateStep, context: StepContext, out: Path) -> StepResult:
    """Write the rows of a step's slices, without what was spent on them, with the facts they agree on."""
    folders = [context[one] for one in step.slices]
    rows = [row for folder in folders for row in read_rows(folder / FILE, Completion)]
    rewrite_rows(out / FILE, (row.model_copy(update={"seconds": None}) for row in rows))
    facts = [read_record(folder / "outcome.json", Outcome).facts for folder in folders]
    asked = [one for one in facts if not one.get("is_left_out")]
    return StepResult(
        n_rows=len(rows),
        n_reused=len(rows),
        n_of_other_code=provenance.n_of_other_code(rows, step),
        facts={name: fact for name, fact in asked[0].items() if all(one.get(name) == fact for one in asked)},
    )


def _batched_otherwise(model: EngineSettings) -> EngineSettings:
    """The engine's settings with a batch of another size, where it has batches."""
    if not isinstance(model, Weights):
        return model
    size = REPLICATE_BATCH_SIZE if model.batch_size is None else model.batch_size // 2 or 2
    return model.model_copy(update={"batch_size": size})


def wanted_rows(step: GenerateStep, context: StepContext, engine: Engine) -> Wanted:
    """Return a step's requests, in the order of its examples.

    Raises DataError where a prompt cannot be made of an example; the message names it.
    """
    prompter = Prompter(step.prompt, context, step.seed) if step.prompt else None
    wanted: Wanted = {}
    key_of = _row_keys(step, context, engine)
    for example, before in _conversations(step, context):
        if before is not None and before.text is None:
            continue
        prompt = prompter.prompt(example) if prompter else Prompt(text=example.instruction)
        request = EngineRequest(key=example.item, prompt=prompt, seed=_row_seed(step, example))
        try:
            wanted[example.item] = (example, request, key_of(request))
        except DataError as error:
            raise DataError(f"item {example.item} in `{example.language}`: {error}") from error
    return wanted


def _row_keys(step: GenerateStep, context: StepContext, engine: Engine) -> Callable[[EngineRequest], Sha256]:
    """Return the maker of a step's row keys."""
    canonical = Canonical()
    tuned = " ".join(tuned_weights(context[step.tuned] if step.tuned else None))
    decoding = step.decoding.model_copy(update={"max_new_tokens": 1})
    replicate = (step.replicate,) if step.replicate else ()
    same_for_all = canonical.text((step.model, resolved(step.model), tuned, decoding, *replicate))

    def key_of(request: EngineRequest) -> Sha256:
        text = canonical.text((same_for_all, engine.identify(request), request.seed))
        return hashlib.sha256(text.encode()).hexdigest()

    return key_of


def _conversations(step: GenerateStep, context: StepContext) -> Iterator[tuple[Example, Completion | None]]:
    """Yield the step's examples; those that go on with a conversation with the model's own answers in it, and
    its last answer so far."""
    examples = list(read_rows(context[step.examples] / "examples.jsonl", Example))
    if step.items is not None:
        ordered = in_random_order(examples, lambda example: example.item, step.items.seed)
        examples = ordered[slice_of(len(ordered), step.items.number, step.items.of)]
    if context.part is not None:
        examples = examples[context.part.start : context.part.stop]
    if step.after is None:
        yield from ((example, None) for example in examples)
        return
    before = {row.item: row for row in read_rows(context[step.after] / FILE, Completion)}
    for example in examples:
        last = before[example.item]
        # the example has the questions alone
        turns = (*(last.turns or example.turns[:-1]), example.turns[-1])
        answer = Message(role="assistant", content=last.text or "")
        yield example.model_copy(update={"turns": (*turns, answer)}), last


def _unasked(step: GenerateStep, context: StepContext) -> Iterator[Completion]:
    """Yield a row without an answer for each question that follows an answer that is missing."""
    for example, before in _conversations(step, context) if step.after else ():
        if before is None or before.text is not None:
            continue
        not_asked = "no answer is taken" if step.prompt is None else "not asked"
        yield Completion(
            row_key=hashlib.sha256(f"{before.row_key} {example.item}".encode()).hexdigest(),
            item=example.item,
            language=example.language,
            prompt="",
            text=None,
            raw_text=None,
            finish_reason="missing",
            error=f"{not_asked}: the question before has no answer ({before.error or before.finish_reason})",
            max_new_tokens=step.decoding.max_new_tokens,
            engine=step.model.engine,
        )


def _generated(
    step: GenerateStep,
    engine: Engine,
    missing: Wanted,
    earlier: dict[str, Completion],
    step_provenance: Provenance,
) -> Iterator[Completion]:
    """Yield the missing rows as they are answered.

    Where the step was finished before but for them, a server that does not answer at all is one more fault on
    each; not so where they wait in a batch, whose answers are still to come.
    """
    left = dict(missing)
    try:
        for answer in (
            engine.generate([request for _, request, _ in missing.values()], step.decoding) if missing else ()
        ):
            item = answer.key
            row_provenance = step_provenance.model_copy(
                update={"system_fingerprint": answer.system_fingerprint}
            )
            row = _completion(step, *left.pop(item), bounded(answer), row_provenance)
            n_before = earlier[item].n_faults if item in earlier else 0
            yield row.model_copy(update={"n_faults": n_before + 1}) if answer.is_transient else row
    except ServerError:
        if not left.keys() <= earlier.keys() or batches.are_waiting():
            raise
        for item in left:
            yield earlier[item].model_copy(update={"n_faults": earlier[item].n_faults + 1})


def _row_seed(step: GenerateStep, example: Example) -> int | None:
    """A seed of the row's own, so that its draw depends on no other row of the batch."""
    if not step.decoding.is_sampled:
        return None
    text = f"{step.seed} {example.language} {example.item}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _reuse(
    step: GenerateStep, wanted: Wanted, engine: Engine, out: Path, context: StepContext
) -> dict[str, Completion]:
    items: dict[str, list[str]] = {}
    for item, (_, _, row_key) in wanted.items():
        items.setdefault(row_key, []).append(item)
    most = step.decoding.max_new_tokens

    def is_valid(row: Completion) -> bool:
        return is_still_valid(row, most)

    found = dict(reuse_rows(Completion, FILE, items, out, context, is_valid))
    # answers to the same prompt with one stop string less
    fewer: dict[str, list[tuple[str, str]]] = {}
    key_of = _row_keys(step, context, engine)
    for item, (_, request, _) in wanted.items() if context.reuse_from else ():
        for stop in request.prompt.stop_strings if item not in found else ():
            fewer.setdefault(key_of(_without(request, stop)), []).append((item, stop))
    for (item, stop), row in reuse_rows(Completion, FILE, fewer, out, context, is_valid):
        others = _without(wanted[item][1], stop).prompt.stop_strings
        if item not in found and would_not_stop(row, stop, others):
            found[item] = row
    return {
        item: row.model_copy(
            update={
                "row_key": wanted[item][2],
                "item": item,
                "language": wanted[item][0].language,
                "turns": _own_turns(step, wanted[item][0]),
                "max_new_tokens": most,
            }
        )
        for item, row in found.items()
    }


def _without(request: EngineRequest, stop: str) -> EngineRequest:
    stops = tuple(one for one in request.prompt.stop_strings if one != stop)
    return request.model_copy(update={"prompt": request.prompt.model_copy(update={"stop_strings": stops})})


def _own_turns(step: GenerateStep, example: Example) -> tuple[Message, ...]:
    """The conversation before a question, where it holds the model's own answers."""
    return () if step.after is None else example.turns


def is_still_valid(row: Completion, max_new_tokens: int) -> bool:
    """Check if a row that was generated under its own limit is what this limit would give."""
    if row.finish_reason in ("eos", "stop"):
        fits = row.n_new_tokens is not None and row.n_new_tokens < max_new_tokens
        return fits or row.max_new_tokens <= max_new_tokens
    return row.finish_reason in ("length", "recorded") and row.max_new_tokens == max_new_tokens


def would_not_stop(row: Completion, stop: str, others: Sequence[str]) -> bool:
    """Check if a row is what it would be with one more stop string.

    A server leaves out the stop string that ended the answer, and need not say which of `others` it was: the
    new one may begin before it and end inside it.
    """
    raw_text = row.raw_text
    return raw_text is not None and not any(stop in raw_text + end for end in ("", *others))


def _completion(
    step: GenerateStep,
    example: Example,
    request: EngineRequest,
    row_key: str,
    answer: EngineAnswer,
    row_provenance: Provenance,
) -> Completion:
    opened = isinstance(step.prompt, TextPrompt) and not step.prompt.ends_at_fence
    return Completion.model_validate(
        {
            **answer.model_dump(include=_SHARED_FIELDS),
            "row_key": row_key,
            "item": example.item,
            "language": example.language,
            "turns": _own_turns(step, example),
            "prompt": answer.prompt_text,
            "text": None if answer.text is None else clean(answer.text, fence_is_open=opened),
            "max_new_tokens": step.decoding.max_new_tokens,
            "seed": request.seed,
            "engine": step.model.engine,
            "provenance": row_provenance,
        }
    )


def clean(text: str, *, fence_is_open: bool) -> str:
    """Strip an answer and, where the prompt left a fence open, the fence that closes it.

    Only a last line that is a bare fence is dropped, and only if the fences in the answer do not pair up
    without it: a code block of the answer's own keeps both of its.
    """
    text = text.strip()
    if not fence_is_open:
        return text
    lines = text.split("\n")
    fences = sum(line.lstrip().startswith(FENCE) for line in lines)
    if lines[-1].strip() == FENCE and fences % 2 == 1:
        return "\n".join(lines[:-1]).rstrip()
    return text
