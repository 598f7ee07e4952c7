"""`rubric`: a model judges each answer on the aspects of a rubric, in writing (just-eval, arXiv 2312.01552).

It gives its reasons and scores as JSON, and what it wrote is kept. A server that can is held to the JSON's
form; any other reply is read tolerantly. Refusals, "N/A", scores off the scale and what cannot be read leave
the answer unscored.
"""

from collections.abc import Iterable, Iterator

from dsl.data.records import Example, Verdict
from dsl.engines.contract import Decoding
from dsl.judges._judge_prompts import judge_prompts
from dsl.judges.contract import Reads
from dsl.judges.rubric import Settings
from runners.engines.contract import EngineAnswer
from runners.judges._model_judges.conditions import meets
from runners.judges._model_judges.written import prompt_for, spent_on, verdict_of
from runners.judges.contract import Answer, Tools, VerdictDetails

READS: tuple[Reads, ...] = ("text", "instruction", "reference")


def aspects(settings: Settings) -> dict[str, object]:
    """Return what decides on each aspect's verdicts: the model, its settings, and the aspects asked together.

    What else is in the rubric does not count, nor which items they are asked of.
    """
    chosen = settings.chosen()
    how = (settings.max_new_tokens, settings.temperature, settings.repeats, settings.na_as)
    shared = ("rubric", Settings.VERSION, settings.model, how, judge_prompts(settings.language))
    return {
        name: (*shared, name, [(one, chosen[one]) for one in beside])
        for name, beside in settings.beside().items()
    }


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return meets(example, settings.condition(aspect))


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    chosen, together, text = settings.chosen(), settings.beside(), judge_prompts(settings.language)
    rows: list[tuple[Answer, tuple[str, ...], tuple[str, ...]]] = []
    for answer in answers:
        # Asked together, a score depends on its neighbours, so a request names them all even where some
        # verdicts are there already.
        requests = dict.fromkeys(together[aspect] for aspect in answer.keys)
        rows += [
            (answer, beside, tuple(aspect for aspect in beside if aspect in answer.keys))
            for beside in requests
        ]
    prompts = [
        prompt_for(answer, {name: chosen[name] for name in beside}, text) for answer, beside, _ in rows
    ]
    repeated = [prompt for prompt in prompts for _ in range(settings.repeats)]
    replies: dict[int, dict[int, EngineAnswer]] = {}
    decoding = Decoding(max_new_tokens=settings.max_new_tokens, temperature=settings.temperature)
    for place, reply in tools.generate(settings.model, repeated, decoding):
        which, repeat = divmod(place, settings.repeats)
        repeats = replies.setdefault(which, {})
        repeats[repeat] = reply
        if len(repeats) < settings.repeats:
            continue
        answer, _, wanted = rows[which]
        in_order = [replies[which][repeat] for repeat in range(settings.repeats)]
        del replies[which]
        for rank, aspect in enumerate(wanted):
            spent = spent_on(in_order, settings.model) if rank == 0 else VerdictDetails()
            yield verdict_of(answer, aspect, len(chosen[aspect].levels), in_order, settings.na_as, spent)
