"""`judge`: verdicts on one generate step's completions, of one judge or of several that decide by rule.

A verdict that exists already is taken over: from an earlier attempt at this step, and from other steps whose judge read the same. So the
same answer from two methods is judged once, and another aspect or another judge adds its own rows only.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType

from dsl.errors import DataError
from dsl.identity import digest
from dsl.models import Decoding
from dsl.records import Completion, Example, Prompt, Verdict
from dsl.settings import EngineSettings, JudgeSettings
from dsl.steps import JudgeStep, Probe
from dsl.values import Name
from runners import registry
from runners.engine import EngineAnswer, EngineRequest
from runners.judging import NO_REPLY, Answer, Generate, Keys, Tools
from runners.work import Inputs, Made, RowWriter, read_rows, rewrite_rows

FILE = "verdicts.jsonl"

Place = tuple[str, str, str | None, str]
"""Key of the judge, item, opponent and aspect: there is exactly one verdict for each."""


def run(step: JudgeStep, inputs: Inputs, out: Path) -> Made:
    """Write `verdicts.jsonl`, one `Verdict` a line, as they are made.

    Of several judges, one that fails says so in its own rows and the others go on.

    Raises:
        DataError: a completion answers an item that is not among the examples.
    """
    read = _read(step, inputs)
    missing = {
        (key, answer.completion.item, answer.against, aspect): answer
        for key, settings in step.judges.items()
        for answer in _answers(step, settings, read)
        for aspect in answer.keys
    }
    n_rows = len(missing)
    held = list(_taken_over(missing, out, inputs.donors))
    rewrite_rows(out / FILE, held)
    inputs.report(len(held), n_rows)

    tools = Tools(_generate(inputs.cache), inputs.cache)
    with RowWriter(out / FILE) as writer:
        for key, settings in step.judges.items():
            own = {place: answer for place, answer in missing.items() if place[0] == key}
            verdicts = _verdicts(settings, own, tools)
            for verdict in verdicts if len(step.judges) == 1 else _also_failures(verdicts, settings, own):
                place = (key, verdict.item, verdict.against, verdict.aspect)
                del own[place], missing[place]  # a KeyError here is a judge that answers twice or unasked
                writer.write(verdict.model_copy(update={"judge": key}))
                inputs.report(n_rows - len(missing), n_rows)
            assert not own, f"the judge {settings.judge} left out {len(own)} verdicts"
    return Made(n_rows=n_rows, n_reused=len(held), load_seconds=tools.load_seconds, facts=tools.facts)


def _also_failures(verdicts: Iterator[Verdict], settings: JudgeSettings, left: Mapping[Place, Answer]) -> Iterator[Verdict]:
    """What a judge says, and where it fails, rows that say why. A machine that lacks something fails the step."""
    try:
        yield from verdicts
    except (OSError, MemoryError, ImportError, DataError):
        raise
    except Exception as error:
        why = f"{NO_REPLY}{settings.judge} failed: {type(error).__name__}: {error}"
        yield from [answer.unscored(aspect, why) for (_, _, _, aspect), answer in left.items()]


@dataclass(frozen=True)
class _Read:
    """What lies in the folders of a step's inputs."""

    examples: Mapping[str, Example]
    completions: Sequence[Completion]
    opponents: Mapping[Name, Mapping[str, Completion]]
    verdicts: Mapping[tuple[str, str | None], Mapping[Name, Sequence[Verdict]]]
    """Item and opponent -> judge -> what it says."""


def _read(step: JudgeStep, inputs: Inputs) -> _Read:
    examples = {example.item: example for example in read_rows(inputs[step.examples] / "examples.jsonl", Example)}
    completions: list[Completion] = []
    for completion in read_rows(inputs[step.answers] / "completions.jsonl", Completion):
        if completion.item not in examples:
            raise DataError(f"{step.answers} answers the item {completion.item!r}, which is not among the examples of {step.examples}")
        completions.append(_planted(completion, step.probe))
    verdicts: dict[tuple[str, str | None], dict[str, list[Verdict]]] = {}
    for name, judged in step.verdicts.items():
        for verdict in read_rows(inputs[judged.step] / FILE, Verdict):
            if verdict.judge == judged.judge:
                verdicts.setdefault((verdict.item, verdict.against), {}).setdefault(name, []).append(verdict)
    opponents = {method: _by_item(inputs[answers]) for method, answers in step.against.items()}
    return _Read(examples, completions, opponents, verdicts)


def _answers(step: JudgeStep, settings: JudgeSettings, read: _Read) -> Iterator[Answer]:
    """Every answer that one judge is to judge beside its example, and once for each opponent where answers are compared."""
    keys = Keys(registry.judge(settings.judge), settings)
    most = min(settings.limit or len(read.examples), step.probe.rows if step.probe else len(read.examples))
    first = set(islice(read.examples, most))
    for completion in read.completions:
        if completion.item not in first:
            continue
        example = read.examples[completion.item]
        if not read.opponents:
            said = read.verdicts.get((completion.item, None), {})
            yield Answer(example, completion, keys.of(example, completion, verdicts=said), verdicts=said)
        for method, theirs in read.opponents.items():
            if (opponent := theirs.get(completion.item)) is not None:
                said = read.verdicts.get((completion.item, method), {})
                yield Answer(example, completion, keys.of(example, completion, opponent, said), method, opponent, said)


def _by_item(folder: Path) -> dict[str, Completion]:
    return {completion.item: completion for completion in read_rows(folder / "completions.jsonl", Completion)}


def _planted(completion: Completion, probe: Probe | None) -> Completion:
    if probe is None or completion.text is None:
        return completion
    return completion.model_copy(update={"text": f"{completion.text}\n\n{probe.text}"})


def _taken_over(missing: dict[Place, Answer], out: Path, donors: Iterable[Path]) -> Iterator[Verdict]:
    """Verdicts that are valid here; their places are taken out of `missing`."""
    places: dict[str, list[Place]] = {}
    for place, answer in missing.items():
        places.setdefault(answer.keys[place[3]], []).append(place)
    for folder in (out, *donors):
        if not places:
            return
        for row in read_rows(folder / FILE, Verdict):
            if row.row_key not in places or (row.unscored_reason or "").startswith(NO_REPLY):
                continue
            for place in places.pop(row.row_key):
                answer = missing.pop(place)
                here: dict[str, object] = {
                    "judge": place[0],
                    "item": answer.completion.item,
                    "language": answer.completion.language,
                    "against": answer.against,
                }
                if folder != out:
                    here |= {"seconds": None, "usd": None}  # spent elsewhere, and counted there
                yield row.model_copy(update=here)


def _verdicts(settings: JudgeSettings, missing: Mapping[Place, Answer], tools: Tools) -> Iterator[Verdict]:
    """One judge's verdicts on these answers."""
    judge = registry.judge(settings.judge)
    wanted: dict[tuple[str, str | None], dict[str, str]] = {}
    for (_, item, against, aspect), answer in missing.items():
        wanted.setdefault((item, against), {})[aspect] = answer.keys[aspect]
    answers = {(item, against): answer for (_, item, against, _), answer in missing.items()}
    with_text: list[Answer] = []
    for answer in [replace(answers[place], keys=keys) for place, keys in wanted.items()]:
        texts = {"": answer.completion} | ({} if answer.opponent is None else {f"of {answer.against}": answer.opponent})
        lacking = {whose: given for whose, given in texts.items() if given.text is None}
        for whose, given in list(lacking.items())[:1]:
            why = given.error or f"there is no answer ({given.finish_reason})"
            if not whose and (score := settings.missing_score()) is not None:
                yield from _missing(judge, settings, answer, score, f"no answer, which counts as {score:g}: {why}")
            else:
                yield from (answer.unscored(aspect, f"{whose}: {why}".removeprefix(": ")) for aspect in answer.keys)
        if not lacking:
            with_text.append(answer)
    if with_text:
        yield from judge.judge(with_text, settings, tools)


def _missing(judge: ModuleType, settings: JudgeSettings, answer: Answer, score: float, reason: str) -> Iterator[Verdict]:
    if hasattr(judge, "missing"):
        yield from judge.missing(answer, settings, reason)
    else:
        yield from (answer.scored(aspect, score, reason=reason) for aspect in answer.keys)


def _generate(cache: Path) -> Generate:
    """The way to a model for judges, which know no engine."""

    def generate(settings: EngineSettings, prompts: Sequence[Prompt], decoding: Decoding) -> Iterator[tuple[int, EngineAnswer]]:
        engine = registry.engine(settings.engine).Engine(settings, None, cache)
        seeds = _seeds(prompts) if decoding.is_sampled else [None] * len(prompts)
        requests = [
            EngineRequest(key=str(place), prompt=prompt, seed=seed) for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
        ]
        for answer in engine.generate(requests, decoding):
            yield int(answer.key), answer

    return generate


def _seeds(prompts: Sequence[Prompt]) -> list[int]:
    """Of the prompt and how often it was asked before, not of its place: what a killed run left to judge draws as it would have."""
    asked: Counter[str] = Counter()
    seeds: list[int] = []
    for prompt in prompts:
        key = digest(prompt)
        seeds.append(int(digest((key, asked[key]))[:8], 16))
        asked[key] += 1
    return seeds
