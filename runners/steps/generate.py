"""`generate`: one model's answers to one set of examples.

Rows that exist already are taken over: from an earlier attempt at this step, and from other steps, where the
same weights were handed the same prompt with the same decoding and seed. A larger `max_new_tokens` asks again
only for the answers that were cut by length; a step that was finished with rows on which its server failed
asks again for those.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from dsl.data.records import Completion, Example, Prompt, Provenance
from dsl.errors import ServerError
from dsl.steps.identity import Canonical
from dsl.steps.steps import GenerateStep, TextPrompt
from runners.engines import find_engine, resolved
from runners.engines.contract import Engine, EngineAnswer, EngineRequest, bounded
from runners.prompting.prompts import Prompter
from runners.store import faults, provenance
from runners.store.step_io import (
    RowWriter,
    StepContext,
    StepResult,
    read_rows,
    reusable_rows,
    rewrite_rows,
    rows_left_open,
    tuned_weights,
)

FILE = "completions.jsonl"
FENCE = "```"

Wanted = dict[str, tuple[Example, EngineRequest, str]]
"""Item -> its example, what is asked, and the row's key."""


def run(step: GenerateStep, inputs: StepContext, out: Path) -> StepResult:
    """Write `completions.jsonl`, one `Completion` a line, as they are finished.

    Raises:
        ServerError: the server does not answer, or has failed on so many rows that they are no result.
    """
    engine = find_engine(step.model.engine).Engine(
        step.model, inputs[step.tuned] if step.tuned else None, inputs.cache
    )
    wanted = wanted_rows(step, inputs, engine)
    earlier = {row.item: row for row in rows_left_open((out, *inputs.earlier), FILE, Completion)}
    earlier = {
        item: row for item, row in earlier.items() if item in wanted and row.row_key == wanted[item][2]
    }
    if earlier:
        rewrite_rows(out / faults.MARKER, (row for row in earlier.values() if faults.is_open(row.n_faults)))
    held = {item: row for item, row in earlier.items() if not faults.is_open(row.n_faults)}
    held |= _take_over(
        step,
        {item: one for item, one in wanted.items() if item not in held},
        (out, *inputs.earlier),
        inputs.reuse_from,
    )
    rewrite_rows(out / FILE, held.values())
    inputs.report(len(held), len(wanted))
    facts = engine.facts
    made_here = provenance.of(
        step, device=facts.get("device"), dtype=facts.get("dtype"), commit=facts.get("commit")
    )
    failed = [row for row in held.values() if row.finish_reason == "error"]
    with RowWriter(out / FILE) as writer:
        missing = {item: one for item, one in wanted.items() if item not in held}
        for done, row in enumerate(_asked(step, engine, missing, earlier, made_here), len(held) + 1):
            writer.write(row)
            if row.finish_reason == "error":
                failed.append(row)
            inputs.report(done, len(wanted))
    if not earlier:
        faults.check(step.model, [""] * len(wanted), [("", row.error or "") for row in failed])
    return StepResult(
        n_rows=len(wanted),
        n_reused=len(held),
        n_of_other_code=provenance.n_of_other_code(held.values(), step),
        n_open=sum(faults.is_open(row.n_faults) for row in failed),
        load_seconds=engine.load_seconds,
        facts=facts,
    )


def wanted_rows(step: GenerateStep, inputs: StepContext, engine: Engine) -> Wanted:
    """What a step asks for, in the order of its examples."""
    examples = list(read_rows(inputs[step.examples] / "examples.jsonl", Example))
    if inputs.part is not None:
        examples = examples[inputs.part.start : inputs.part.stop]
    prompter = Prompter(step.prompt, inputs, step.seed) if step.prompt else None
    wanted: Wanted = {}
    canonical = Canonical()
    tuned = " ".join(tuned_weights(inputs[step.tuned])) if step.tuned else ""
    decoding = step.decoding.model_copy(update={"max_new_tokens": 1})
    same_for_all = canonical.text((step.model, resolved(step.model), tuned, decoding))
    for example in examples:
        prompt = prompter.prompt(example) if prompter else Prompt(text=example.instruction)
        request = EngineRequest(key=example.item, prompt=prompt, seed=_row_seed(step, example))
        row_key = hashlib.sha256(
            canonical.text((same_for_all, engine.identify(request), request.seed)).encode()
        ).hexdigest()
        wanted[example.item] = (example, request, row_key)
    return wanted


def _asked(
    step: GenerateStep, engine: Engine, missing: Wanted, earlier: dict[str, Completion], made_here: Provenance
) -> Iterator[Completion]:
    """The missing rows as they are answered. Where the step was finished before but for them, a server that
    does not answer at all is one more fault on each."""
    left = dict(missing)
    try:
        for answer in (
            engine.generate([request for _, request, _ in missing.values()], step.decoding) if missing else ()
        ):
            item = answer.key
            made = made_here.model_copy(update={"system_fingerprint": answer.system_fingerprint})
            row = _completion(step, *left.pop(item), bounded(answer), made)
            n_before = earlier[item].n_faults if item in earlier else 0
            yield row.model_copy(update={"n_faults": n_before + 1}) if answer.is_transient else row
    except ServerError:
        if not left.keys() <= earlier.keys():
            raise
        for item in left:
            yield earlier[item].model_copy(update={"n_faults": earlier[item].n_faults + 1})


def _row_seed(step: GenerateStep, example: Example) -> int | None:
    """A seed of the row's own, so that its draw depends on no other row of the batch."""
    if not step.decoding.is_sampled:
        return None
    text = f"{step.seed} {example.language} {example.item}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _take_over(
    step: GenerateStep, wanted: Wanted, own: tuple[Path, ...], reuse_from: tuple[Path, ...]
) -> Iterator[tuple[str, Completion]]:
    """Rows of earlier attempts at this step (`own`) as they are; rows of other steps without their time,
    which was spent once."""
    items: dict[str, list[str]] = {}
    for item, (_, _, row_key) in wanted.items():
        items.setdefault(row_key, []).append(item)
    for folder in (*own, *reuse_from):
        if not items:
            return
        for row in reusable_rows(folder / FILE, Completion, keys=items):
            if row.row_key in items and is_still_valid(row, step.decoding.max_new_tokens):
                for item in items.pop(row.row_key):
                    here = {
                        "item": item,
                        "language": wanted[item][0].language,
                        "max_new_tokens": step.decoding.max_new_tokens,
                    }
                    yield item, row.model_copy(update=here if folder in own else {**here, "seconds": None})


def is_still_valid(row: Completion, max_new_tokens: int) -> bool:
    """Whether a row that was asked for with its own limit is what asking with this one would give."""
    if (
        row.finish_reason in ("eos", "stop")
        and row.n_new_tokens is not None
        and row.n_new_tokens < max_new_tokens
    ):
        return True
    return row.finish_reason in ("eos", "stop", "length", "recorded") and row.max_new_tokens == max_new_tokens


def _completion(
    step: GenerateStep,
    example: Example,
    request: EngineRequest,
    row_key: str,
    answer: EngineAnswer,
    made: Provenance,
) -> Completion:
    opened = isinstance(step.prompt, TextPrompt) and not step.prompt.ends_at_fence
    return Completion(
        row_key=row_key,
        item=example.item,
        language=example.language,
        prompt=answer.prompt_text,
        text=None if answer.text is None else clean(answer.text, fence_is_open=opened),
        raw_text=answer.raw_text,
        finish_reason=answer.finish_reason,
        stop_string=answer.stop_string,
        error=answer.error,
        max_new_tokens=step.decoding.max_new_tokens,
        n_prompt_tokens=answer.n_prompt_tokens,
        n_new_tokens=answer.n_new_tokens,
        seconds=answer.seconds,
        batch_size=answer.batch_size,
        seed=request.seed,
        engine=step.model.engine,
        model_served=answer.model_served,
        provenance=made,
    )


def clean(text: str, *, fence_is_open: bool) -> str:
    """The answer without white space at its ends and, where the prompt left a fence open, without the fence
    that closes it.

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
