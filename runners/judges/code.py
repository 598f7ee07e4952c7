"""`code`: did the model write program code where none was asked for?

Code is a statement, a definition, a tag, a query, a command or a data format meant for a machine, fenced or
not. A name, a formula, LaTeX or an expression within a sentence is none. It was asked for where the item's
category or the instruction says so (in English, French or Spanish) or the instruction shows some. Code is
told line by line, by forms that prose does not take. Unintended code generation is one of the two critical
errors of Ponce and Etchegoyhen, arXiv 2503.01611; the definition is ours.
"""

from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.code import Settings
from dsl.judges.contract import Reads
from runners.judges._text.code import ASKING_LANGUAGES, asks_for_code, code_in
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text", "instruction", "category", "language")


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        example, found = answer.example, code_in(answer.text)
        if (example.category or "").casefold() in settings.coding_categories or asks_for_code(
            example.instruction
        ):
            yield answer.unscored("code", "code was asked for")
        elif found.fenced_as is not None:
            yield _holding(answer, f"a block of {found.fenced_as[:40]}")
        elif found.lines >= settings.min_lines or (found.lines and found.share >= settings.min_share):
            yield _holding(answer, f"{found.lines} lines look like code, as {found.first[:80]!r}")
        else:
            yield answer.scored("code", 1)


def _holding(answer: Answer, reason: str) -> Verdict:
    """Return the verdict on an answer with code in it, of an item that does not ask for any as far as is
    known."""
    if answer.example.language.split("-")[0] not in ASKING_LANGUAGES:
        why = f"{reason}; how one asks for code in {answer.example.language} is not known"
        return answer.unscored("code", why)
    return answer.scored("code", 0, reason=reason)
