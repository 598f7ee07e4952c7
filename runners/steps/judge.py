"""`judge`: verdicts on one generate step's completions, of one judge or of several that decide by rule.

Cached verdicts are reused: from an earlier attempt at this step, and from other steps whose judge read the
same. So the same answer from two methods is judged once, and another aspect or another judge adds its own
rows only.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType

from dsl.data.records import Completion, Example, Prompt, Provenance, Verdict
from dsl.engines.contract import Decoding, EngineSettings
from dsl.errors import DataError, ServerError
from dsl.judges.contract import JudgeSettings, RightOrWrong
from dsl.steps.identity import digest
from dsl.steps.steps import JudgeStep, Probe
from dsl.values import Name
from runners.engines import find_engine, resolved
from runners.engines.contract import EngineAnswer, EngineRequest, bounded
from runners.judges import find_judge
from runners.judges.contract import NO_REPLY, Answer, Facts, Generate, Tools
from runners.store import batches, faults, provenance, spending
from runners.store.reusable_rows import reuse_rows
from runners.store.row_keys import Keys
from runners.store.step_io import (
    RowWriter,
    StepContext,
    StepResult,
    read_rows,
    rewrite_rows,
    rows_left_open,
)

FILE = "verdicts.jsonl"

Place = tuple[str, str, str | None, str]
"""Key of the judge, item, opponent and aspect: there is exactly one verdict for each."""


def run(step: JudgeStep, context: StepContext, out: Path) -> StepResult:
    """Write `verdicts.jsonl`, one `Verdict` a line, as they are made.

    Of several judges, one that fails says so in its own rows and the others go on.

    Raises:
        DataError: a completion answers an item that is not among the examples.
        ServerError: the judge's server does not answer, or has failed on so many rows that they are no
            result.
    """
    read = read_inputs(step, context)
    missing = {
        (key, answer.completion.item, answer.against, aspect): answer
        for key, settings in step.judges.items()
        for answer in answers_of(step, settings, read, keys_of(settings, step.replicate))
        for aspect in answer.keys
    }
    n_rows = len(missing)
    with_text = {place: answer for place, answer in missing.items() if not _lacking(answer)}
    earlier = {_place(row): row for row in rows_left_open((out,), FILE, Verdict)}
    earlier = {
        place: row
        for place, row in earlier.items()
        if place in with_text and row.row_key == missing[place].keys[row.aspect]
    }
    if earlier:
        rewrite_rows(out / faults.MARKER, (row for row in earlier.values() if faults.is_open(row.n_faults)))
    cached = [row for row in earlier.values() if is_fault(row) and not faults.is_open(row.n_faults)]
    for row in cached:
        del missing[_place(row)]
    cached += _reuse(missing, out, context)
    rewrite_rows(out / FILE, cached)
    context.report(len(cached), n_rows)

    facts: Facts = {}
    tools = Tools(_generate(context.cache, facts), context.cache, facts=facts)
    failed = [row for row in cached if is_fault(row)]
    if with_text.keys() & missing.keys():
        spending.begin()
    with RowWriter(out / FILE) as writer:
        for key, settings in step.judges.items():
            own = {place: answer for place, answer in missing.items() if place[0] == key}
            verdicts = _judged(settings, own, tools, earlier)
            for verdict in verdicts if len(step.judges) == 1 else _also_failures(verdicts, settings, own):
                verdict = verdict.model_copy(
                    update={"judge": key, "provenance": _provenance(step, facts, verdict)}
                )
                place = _place(verdict)
                del own[place], missing[place]  # a KeyError here is a judge that answers twice or unasked
                if verdict.n_faults:
                    verdict = verdict.model_copy(
                        update={"n_faults": (earlier[place].n_faults if place in earlier else 0) + 1}
                    )
                if is_fault(verdict):
                    failed.append(verdict)
                writer.write(verdict)
                context.report(n_rows - len(missing), n_rows)
                spending.check()
            assert not own, f"the judge {settings.judge} left out {len(own)} verdicts"
    model = next((model for judge in step.judges.values() for model in judge.models()), None)
    if not earlier:
        faults.check(
            model,
            [place[3] for place in with_text],
            [(row.aspect, row.unscored_reason or "") for row in failed],
        )
    return StepResult(
        n_rows=n_rows,
        n_reused=len(cached),
        n_of_other_code=provenance.n_of_other_code(cached, step),
        n_open=sum(faults.is_open(row.n_faults) for row in failed),
        load_seconds=tools.load_seconds,
        facts=tools.facts,
    )


def _place(verdict: Verdict) -> Place:
    return verdict.judge, verdict.item, verdict.against, verdict.aspect


def is_fault(verdict: Verdict) -> bool:
    """Check if the judge itself failed. Such a verdict says nothing about the answer."""
    return (verdict.unscored_reason or "").startswith(NO_REPLY)


def _judged(
    settings: JudgeSettings, missing: dict[Place, Answer], tools: Tools, earlier: Mapping[Place, Verdict]
) -> Iterator[Verdict]:
    """Yield one judge's missing verdicts as they are made.

    Where the step was finished before but for them, a server that does not answer at all is one more fault on
    each; not so where they wait in a batch, whose answers are still to come.
    """
    try:
        yield from _verdicts(settings, missing, tools)
    except ServerError:
        if not missing.keys() <= earlier.keys() or batches.are_waiting():
            raise
        yield from [earlier[place] for place in missing]


def _also_failures(
    verdicts: Iterator[Verdict], settings: JudgeSettings, left: Mapping[Place, Answer]
) -> Iterator[Verdict]:
    """Yield a judge's verdicts and, where it fails, rows that say why.

    A machine that lacks something fails the step.
    """
    try:
        yield from verdicts
    except (OSError, MemoryError, ImportError, DataError, ServerError):
        raise
    except Exception as error:
        why = f"{NO_REPLY}{settings.judge} failed: {type(error).__name__}: {error}"
        yield from [answer.unscored(aspect, why) for (_, _, _, aspect), answer in left.items()]


@dataclass(frozen=True)
class JudgeInputs:
    """Rows of a step's inputs."""

    examples: Mapping[str, Example]
    completions: Sequence[Completion]
    opponents: Mapping[Name, Mapping[str, Completion]]
    verdicts: Mapping[tuple[str, str | None], Mapping[Name, Sequence[Verdict]]]
    """Item and opponent -> judge -> what it says."""


def read_inputs(step: JudgeStep, context: StepContext) -> JudgeInputs:
    examples = {
        example.item: example for example in read_rows(context[step.examples] / "examples.jsonl", Example)
    }
    completions: list[Completion] = []
    for completion in read_rows(context[step.answers] / "completions.jsonl", Completion):
        if completion.item not in examples:
            raise DataError(
                f"{step.answers} answers the item {completion.item!r}, which is not among the examples of"
                f" {step.examples}"
            )
        completions.append(_planted(completion, step.probe))
    verdicts: dict[tuple[str, str | None], dict[str, list[Verdict]]] = {}
    for name, judged in step.verdicts.items():
        for verdict in read_rows(context[judged.step] / FILE, Verdict):
            if verdict.judge == judged.judge:
                verdicts.setdefault((verdict.item, verdict.against), {}).setdefault(name, []).append(verdict)
    opponents = {method: _by_item(context[answers]) for method, answers in step.against.items()}
    return JudgeInputs(examples, completions, opponents, verdicts)


def keys_of(settings: JudgeSettings, replicate: int = 0) -> Keys:
    """Return the maker of one judge's row keys."""
    models = [resolved(model) for model in settings.models()]
    return Keys(find_judge(settings.judge), settings, models, replicate)


def answers_of(step: JudgeStep, settings: JudgeSettings, read: JudgeInputs, keys: Keys) -> Iterator[Answer]:
    """Yield every answer for one judge beside its example, once for each opponent where answers are
    compared."""
    most = min(settings.limit or len(read.examples), step.probe.rows if step.probe else len(read.examples))
    first = set(islice(read.examples, most))
    for completion in read.completions:
        if completion.item not in first:
            continue
        example = read.examples[completion.item]
        if completion.turns:
            example = example.model_copy(update={"turns": completion.turns})
        if not read.opponents:
            verdicts = read.verdicts.get((completion.item, None), {})
            yield Answer(
                example, completion, keys.of(example, completion, verdicts=verdicts), verdicts=verdicts
            )
        for method, theirs in read.opponents.items():
            if (opponent := theirs.get(completion.item)) is not None:
                verdicts = read.verdicts.get((completion.item, method), {})
                yield Answer(
                    example,
                    completion,
                    keys.of(example, completion, opponent, verdicts),
                    method,
                    opponent,
                    verdicts,
                )


def _by_item(folder: Path) -> dict[str, Completion]:
    return {completion.item: completion for completion in read_rows(folder / "completions.jsonl", Completion)}


def _planted(completion: Completion, probe: Probe | None) -> Completion:
    if probe is None or completion.text is None:
        return completion
    return completion.model_copy(update={"text": f"{completion.text}\n\n{probe.text}"})


def _reuse(missing: dict[Place, Answer], out: Path, context: StepContext) -> Iterator[Verdict]:
    """Yield cached verdicts that are valid here; remove their places from `missing`."""
    places: dict[str, list[Place]] = {}
    for place, answer in missing.items():
        places.setdefault(answer.keys[place[3]], []).append(place)
    for place, row in reuse_rows(Verdict, FILE, places, out, context, lambda row: not is_fault(row)):
        answer = missing.pop(place)
        yield row.model_copy(
            update={
                "judge": place[0],
                "item": answer.completion.item,
                "language": answer.completion.language,
                "against": answer.against,
            }
        )


def _verdicts(settings: JudgeSettings, missing: Mapping[Place, Answer], tools: Tools) -> Iterator[Verdict]:
    """One judge's verdicts on these answers."""
    judge = find_judge(settings.judge)
    wanted: dict[tuple[str, str | None], dict[str, str]] = {}
    for (_, item, against, aspect), answer in missing.items():
        wanted.setdefault((item, against), {})[aspect] = answer.keys[aspect]
    answers = {(item, against): answer for (_, item, against, _), answer in missing.items()}
    with_text: list[Answer] = []
    for answer in [replace(answers[place], keys=keys) for place, keys in wanted.items()]:
        lacking = _lacking(answer)
        for whose, given in list(lacking.items())[:1]:
            why = given.error or f"there is no answer ({given.finish_reason})"
            score = settings.missing_score() if isinstance(settings, RightOrWrong) else None
            if not whose and score is not None:
                yield from _missing(
                    judge, settings, answer, score, f"no answer, which counts as {score:g}: {why}"
                )
            else:
                yield from (
                    answer.unscored(aspect, f"{whose}: {why}".removeprefix(": ")) for aspect in answer.keys
                )
        if not lacking:
            with_text.append(answer)
    if with_text:
        yield from judge.judge(with_text, settings, tools)


def _lacking(answer: Answer) -> dict[str, Completion]:
    """Return the completions without a text: "" -> the answer, `of <method>` -> the opponent."""
    texts = {"": answer.completion} | (
        {} if answer.opponent is None else {f"of {answer.against}": answer.opponent}
    )
    return {whose: given for whose, given in texts.items() if given.text is None}


def _missing(
    judge: ModuleType, settings: JudgeSettings, answer: Answer, score: float, reason: str
) -> Iterator[Verdict]:
    if hasattr(judge, "missing"):
        yield from judge.missing(answer, settings, reason)
    else:
        yield from (answer.scored(aspect, score, reason=reason) for aspect in answer.keys)


def _provenance(step: JudgeStep, facts: Facts, verdict: Verdict) -> Provenance | None:
    """The provenance of a verdict that a model gave. One by rule has none: its step's id says it."""
    if not any(judge.models() for judge in step.judges.values()):
        return None
    own = provenance.of(
        step, device=facts.get("device"), dtype=facts.get("dtype"), commit=facts.get("commit")
    )
    server = verdict.provenance
    if server is None:
        return own
    return own.model_copy(update={"system_fingerprint": server.system_fingerprint})


def _generate(cache: Path, facts: Facts) -> Generate:
    """The way to a model for judges, which know no engine; what is known of the model goes to `facts`."""

    def generate(
        settings: EngineSettings, prompts: Sequence[Prompt], decoding: Decoding
    ) -> Iterator[tuple[int, EngineAnswer]]:
        engine = find_engine(settings.engine).Engine(settings, None, cache)
        kept = ("device", "dtype", "commit", "remedies")
        facts.update((name, engine.facts[name]) for name in kept if name in engine.facts)
        seeds = _seeds(prompts) if decoding.is_sampled else [None] * len(prompts)
        requests = [
            EngineRequest(key=str(place), prompt=prompt, seed=seed)
            for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
        ]
        for answer in engine.generate(requests, decoding):
            yield int(answer.key), bounded(answer)

    return generate


def _seeds(prompts: Sequence[Prompt]) -> list[int]:
    """Return a seed for each prompt, from its text and how often it came before, not from its place.

    So what a killed run left to judge draws as it would have.
    """
    n_before: Counter[str] = Counter()
    seeds: list[int] = []
    for prompt in prompts:
        key = digest(prompt)
        seeds.append(int(digest((key, n_before[key]))[:8], 16))
        n_before[key] += 1
    return seeds
