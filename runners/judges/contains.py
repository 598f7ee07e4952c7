"""`contains`: is one of the item's accepted answers in the answer? As whole words, whatever their case,
accents and punctuation."""

from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.contains import Settings
from dsl.judges.contract import Reads
from runners.judges._text.words import holds, words
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text", "answers")


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        accepted = {given: words(given) for given in answer.example.answers if words(given)}
        text = words(answer.text)
        found = next((given for given, wanted in accepted.items() if holds(text, wanted)), None)
        if not accepted:
            yield answer.unscored("contains", "the item has no accepted answer")
        elif found is not None:
            yield answer.scored("contains", 1, reason=f"holds {found!r}")
        else:
            yield answer.scored("contains", 0, reason="holds no accepted answer")
