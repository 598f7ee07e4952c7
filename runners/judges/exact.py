"""`exact`: is the answer one of the item's accepted answers, and nothing else? Whatever their case, accents
and punctuation."""

from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.exact import Settings
from runners.judges._text.words import whole, words
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text", "answers")


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        accepted = {whole(words(given)): given for given in answer.example.answers if words(given)}
        found = accepted.get(whole(words(answer.text)))
        if not accepted:
            yield answer.unscored("exact", "the item has no accepted answer")
        elif found is not None:
            yield answer.scored("exact", 1, reason=f"is {found!r}")
        else:
            yield answer.scored("exact", 0, reason="is no accepted answer")
