"""`pairwise`: which of two answers is better, ours or another method's? Asked in both orders, since judges
favour a place.

The opponent is any other method of the study; answers that someone else recorded are a method too (`method:
recorded`), on whatever model. A served model writes its verdict as JSON; weights loaded here and System One
servers decide, with the probability of each outcome.
"""

from collections.abc import Iterable, Iterator

from dsl.data.records import Example, Verdict
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.transformers import Weights
from dsl.judges._comparison import comparison
from dsl.judges._decision_model import SystemOne
from dsl.judges._judge_prompts import judge_prompts
from dsl.judges.contract import Reads
from dsl.judges.pairwise import Settings
from runners.judges._model_judges.comparison import (
    are_equal,
    both_choices,
    both_prompts,
    paired,
    side_decided,
    side_written,
    verdict_of,
)
from runners.judges._model_judges.conditions import meets
from runners.judges._model_judges.decide import decide
from runners.judges._model_judges.written import n_faults_of, served_by, spent_on
from runners.judges.contract import Answer, Tools, VerdictDetails

READS: tuple[Reads, ...] = ("text", "instruction", "reference", "opponent")


def aspects(settings: Settings) -> dict[str, object]:
    """Return what decides on each aspect's verdicts: the model, its settings and the question.

    The opponent's name does not count: its text is read.
    """
    writes = () if isinstance(settings.model, Weights | SystemOne) else (settings.max_new_tokens,)
    texts = (judge_prompts(settings.language), comparison(settings.language))
    shared = ("pairwise", Settings.VERSION, settings.model, settings.ties, *writes, texts)
    return {name: (*shared, name, aspect.question) for name, aspect in settings.asked().items()}


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return meets(example, settings.condition("overall" if settings.rubric == "overall" else aspect))


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    rows: list[tuple[Answer, str]] = []
    for answer in answers:
        for aspect in answer.keys:
            if are_equal(answer):
                yield answer.scored(aspect, 0.5, reason="both answers are the same text")
            else:
                rows.append((answer, aspect))
    if isinstance(settings.model, Weights | SystemOne):
        yield from _decided(rows, settings, settings.model, tools)
    elif rows:
        yield from _written(rows, settings, settings.model, tools)


def _decided(
    rows: list[tuple[Answer, str]], settings: Settings, model: Weights | SystemOne, tools: Tools
) -> Iterator[Verdict]:
    chosen, names, text = settings.asked(), judge_prompts(settings.language), comparison(settings.language)
    questions = [
        q
        for answer, aspect in rows
        for q in both_choices(answer, chosen[aspect].question, names, text, settings.ties)
    ]
    found = ((decided.place, decided) for decided in decide(model, questions, tools))
    for which, first, second in paired(found):
        answer, aspect = rows[which]
        details = _together(first.details, second.details)
        yield verdict_of(
            answer, aspect, side_decided(first, is_first=True), side_decided(second, is_first=False), details
        )


def _written(
    rows: list[tuple[Answer, str]], settings: Settings, model: EngineSettings, tools: Tools
) -> Iterator[Verdict]:
    chosen, names, text = settings.asked(), judge_prompts(settings.language), comparison(settings.language)
    prompts = [
        p
        for answer, aspect in rows
        for p in both_prompts(answer, chosen[aspect].question, names, text, settings.ties)
    ]
    for which, first, second in paired(
        tools.generate(model, prompts, Decoding(max_new_tokens=settings.max_new_tokens))
    ):
        answer, aspect = rows[which]
        details: VerdictDetails = {
            **spent_on((first, second), model),
            **served_by((first, second)),
            "n_faults": n_faults_of((first, second)),
        }
        ours_first, ours_second = (
            side_written(first, settings.ties, is_first=True),
            side_written(second, settings.ties, is_first=False),
        )
        yield verdict_of(answer, aspect, ours_first, ours_second, details)


def _together(first: VerdictDetails, second: VerdictDetails) -> VerdictDetails:
    """Add up what both orders took."""
    details: VerdictDetails = {**first, **second}
    for name in ("n_prompt_tokens", "seconds", "usd"):
        known = [given for given in (first.get(name), second.get(name)) if given is not None]
        if known:
            details[name] = sum(known)
    return details
