"""`numeric`: is the last number of the answer the item's number (MGSM, arXiv 2210.03057)?

Numbers are read as the language writes them.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from dsl.data.records import Example, Verdict
from dsl.judges.contract import Reads
from dsl.judges.numeric import Settings
from runners.judges._text.numbers import FORMATS, last_number
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text", "answers", "language")


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    """Leave out items whose accepted answers hold no number: another judge's, in a data set of several
    kinds."""
    written_in = settings.answers_language or example.language
    return written_in not in FORMATS or any(
        last_number(given, written_in) is not None for given in example.answers
    )


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        language = answer.example.language
        written_in = settings.answers_language or language
        if unknown := [code for code in (language, written_in) if code not in FORMATS]:
            yield answer.unscored("numeric", f"the number format of {unknown[0]} is not known")
            continue
        accepted = {last_number(given, written_in) for given in answer.example.answers}
        found = last_number(answer.text, language)
        if found is None:
            yield answer.scored("numeric", 0, reason="there is no number in the answer")
        else:
            yield answer.scored("numeric", found in accepted, reason=f"the last number is {_shown(found)}")


def _shown(number: Decimal) -> str:
    text = f"{number:f}"
    return text if len(text) <= 40 else f"{text[:40]}…"
