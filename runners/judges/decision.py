"""`decision`: a System One model decides, with the probability of every level from one forward pass.

It is asked for the aspects of a rubric, or questions of the study's own. The distribution is kept and the
score is its mean. Any chat model can be asked; models made for it give calibrated probabilities.
"""

from collections.abc import Iterable, Iterator

from dsl.data.records import Example, Verdict
from dsl.judges._judge_prompts import JudgePrompts, judge_prompts
from dsl.judges.contract import Reads
from dsl.judges.decision import Settings
from runners.judges._model_judges.conditions import meets
from runners.judges._model_judges.decide import Question, decide
from runners.judges._model_judges.earlier import earlier
from runners.judges.contract import Answer, Tools, VerdictDetails

READS: tuple[Reads, ...] = ("text", "instruction", "reference")


def aspects(settings: Settings) -> dict[str, object]:
    """Return what decides on each question's verdicts: the model, the question and the names of the texts."""
    shared = ("decision", Settings.VERSION, settings.model, _names(judge_prompts(settings.language)))
    return {name: (*shared, name, asked) for name, asked in settings.asked().items()}


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return meets(example, settings.condition(aspect))


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    names, asked = _names(judge_prompts(settings.language)), settings.asked()
    rows = [(answer, aspect) for answer in answers for aspect in answer.keys]
    questions = [
        Question(_state(answer, names), asked[aspect].question, asked[aspect].levels)
        for answer, aspect in rows
    ]
    for decided in decide(settings.model, questions, tools):
        answer, aspect = rows[decided.place]
        if decided.probabilities is None:
            yield answer.unscored(aspect, decided.error or "", **decided.details)
        else:
            score = sum(int(level) * p for level, p in decided.probabilities.items())
            details: VerdictDetails = {**decided.details, "distribution": decided.probabilities}
            yield answer.scored(aspect, score, **details)


def _names(prompts: JudgePrompts) -> tuple[str, str, str]:
    return prompts.instruction, prompts.reference, prompts.answer


def _state(answer: Answer, names: tuple[str, str, str]) -> dict[str, str]:
    parts = zip(names, (answer.example.instruction, answer.example.reference, answer.text), strict=True)
    before = earlier(answer.example.turns, names[0], names[2])
    return before | {name: text for name, text in parts if text is not None}
