"""`exact`: is the answer one of the item's accepted answers, and nothing else? Whatever their case, accents and punctuation."""

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from dsl.data.records import Verdict
from dsl.settings import RightOrWrong
from runners.judges._words import words
from runners.judges.contract import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("text", "answers")


class Settings(RightOrWrong):
    """1 where the completion is an accepted answer, 0 where it is not. Items without accepted answers get no verdict."""

    LABEL: ClassVar[str] = "is an accepted answer"
    CHECKED_AGAINST: ClassVar[Literal["answers", "instructions"] | None] = "answers"
    NEEDS: ClassVar[tuple[str, ...]] = ("answers",)
    judge: Literal["exact"] = "exact"


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        accepted = {words(given): given for given in answer.example.answers if words(given)}
        found = accepted.get(words(answer.text))
        if not accepted:
            yield answer.unscored("exact", "the item has no accepted answer")
        elif found is not None:
            yield answer.scored("exact", 1, reason=f"is {found!r}")
        else:
            yield answer.scored("exact", 0, reason="is no accepted answer")
