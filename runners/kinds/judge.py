"""`judge`: one judge's verdicts on one generate step's completions.

A verdict that exists already is taken over: from an earlier attempt at this step, and from other steps whose judge read the same. So the
same answer from two methods is judged once, and another aspect adds its own rows only.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dsl.errors import DataError
from dsl.models import Decoding
from dsl.records import Completion, Example, Prompt, Verdict
from dsl.settings import EngineSettings
from dsl.steps import JudgeStep
from runners import registry
from runners.engine import EngineAnswer, EngineRequest
from runners.judging import NO_REPLY, Answer, Generate, Keys, Tools
from runners.work import Inputs, Made, RowWriter, read_rows, rewrite_rows

FILE = "verdicts.jsonl"

Place = tuple[str, str]
"""Item and aspect: there is exactly one verdict for each."""


def run(step: JudgeStep, inputs: Inputs, out: Path) -> Made:
    """Write `verdicts.jsonl`, one `Verdict` a line, as they are made.

    Raises:
        DataError: a completion answers an item that is not among the examples.
    """
    judge = registry.judge(step.judge.judge)
    answers = list(_answers(step, inputs, Keys(judge, step.judge)))
    missing = {(a.completion.item, aspect): a for a in answers for aspect in a.keys}
    n_rows = len(missing)
    held = list(_taken_over(missing, out, inputs.donors))
    rewrite_rows(out / FILE, held)
    inputs.report(len(held), n_rows)

    tools = Tools(_generate(inputs.cache), inputs.cache)
    with RowWriter(out / FILE) as writer:
        for verdict in _verdicts(judge.judge, step, missing, tools):
            del missing[verdict.item, verdict.aspect]  # a KeyError here is a judge that answers twice or unasked
            writer.write(verdict)
            inputs.report(n_rows - len(missing), n_rows)
    assert not missing, f"the judge {step.judge.judge} left out {len(missing)} verdicts"
    return Made(n_rows=n_rows, n_reused=len(held), load_seconds=tools.load_seconds, facts=tools.facts)


def _answers(step: JudgeStep, inputs: Inputs, keys: Keys) -> Iterator[Answer]:
    examples = {example.item: example for example in read_rows(inputs[step.examples] / "examples.jsonl", Example)}
    for completion in read_rows(inputs[step.answers] / "completions.jsonl", Completion):
        example = examples.get(completion.item)
        if example is None:
            raise DataError(f"{step.answers} answers the item {completion.item!r}, which is not among the examples of {step.examples}")
        yield Answer(example, completion, keys.of(example, completion))


def _taken_over(missing: dict[Place, Answer], out: Path, donors: Iterable[Path]) -> Iterator[Verdict]:
    """Verdicts that are valid here; their places are taken out of `missing`."""
    places: dict[str, list[Place]] = {}
    for place, answer in missing.items():
        places.setdefault(answer.keys[place[1]], []).append(place)
    for folder in (out, *donors):
        if not places:
            return
        for row in read_rows(folder / FILE, Verdict):
            if row.row_key not in places or (row.unscored_reason or "").startswith(NO_REPLY):
                continue
            for place in places.pop(row.row_key):
                completion = missing.pop(place).completion
                update: dict[str, object] = {"item": completion.item, "language": completion.language}
                if folder != out:
                    update |= {"seconds": None, "usd": None}  # spent elsewhere, and counted there
                yield row.model_copy(update=update)


def _verdicts(judge, step: JudgeStep, missing: dict[Place, Answer], tools: Tools) -> Iterator[Verdict]:
    wanted: dict[str, dict[str, str]] = {}
    for (item, aspect), answer in missing.items():
        wanted.setdefault(item, {})[aspect] = answer.keys[aspect]
    answers = {item: answer for (item, _), answer in missing.items()}
    to_judge = [Answer(answers[item].example, answers[item].completion, keys) for item, keys in wanted.items()]
    for answer in to_judge:
        if answer.completion.text is None:
            why = answer.completion.error or f"there is no answer ({answer.completion.finish_reason})"
            yield from (answer.unscored(aspect, why) for aspect in answer.keys)
    if with_text := [answer for answer in to_judge if answer.completion.text is not None]:
        yield from judge(with_text, step.judge, tools)


def _generate(cache: Path) -> Generate:
    """The way to a model for judges, which know no engine."""

    def generate(settings: EngineSettings, prompts: Sequence[Prompt], decoding: Decoding) -> Iterator[tuple[int, EngineAnswer]]:
        engine = registry.engine(settings.engine).Engine(settings, None, cache)
        requests = [EngineRequest(key=str(place), prompt=prompt) for place, prompt in enumerate(prompts)]
        for answer in engine.generate(requests, decoding):
            yield int(answer.key), answer

    return generate
