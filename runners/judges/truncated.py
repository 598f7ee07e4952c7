"""`truncated`: was the answer cut before its end?

The finish reason decides where it can: an answer that ran into the length limit was cut, however its last
sentence reads, and one that the model brought to an end (EOS) was not, even in mid-sentence: such an answer
is bad, but nothing is missing from it. Recorded answers have no finish reason, and a stop string may cut an
answer or stand behind it; there the end of the text decides. A text breaks off where a fence, a bracket or a
list item is left open, where it ends in a comma, a colon or a word that another must follow, and where its
last sentence lacks the closing mark that its other sentences have (the terminal punctuation by which C4 tells
whole lines, arXiv 1910.10683 §2.2). Where the end can be read both ways (a title, a number, a list without
full stops, code) the judge abstains.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.truncated import Settings
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text", "finish_reason", "language")

_ENDS = frozenset(".!?…。！？")
_CLOSERS = " \"'”’»›)]}*_`>"
_GOES_ON = frozenset(",:-–—(/&+=<[{«“¿¡\\")
_OPEN = {"(": ")", "[": "]", "«": "»", "“": "”"}
_SENTENCE_END = re.compile(r"[^\W_][\"'”’»)\]*_]*[.!?…]+[\"'”’»)\]*_]*(?=\s)")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)[^\n]*", re.MULTILINE)
_MARK = re.compile(r"\s*(?:[-*•+–]|#{1,6}|(?:\d{1,3}|[a-zA-Z])[.)]|\d{1,2}\.\d{1,2}\.?)(?=\s|$)")
"""Beginnings of a list item or a heading."""
_BARE_NUMBER = re.compile(r"\s*\d{1,3}\s*$")
_CODE = re.compile(
    r"[{};]\s*$|\w\(.*\)\s*$|^\s*(?:return|import|from|def|class|if|for)\b.*[(=]|[=!<>]=|=>|</\w+>\s*$"
)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_UNFINISHED = {
    "en": _words(
        "a an the this these those its their my your our his and or but because although while if when which"
        " who whose where of to in on at by",
        "for from with into about as than is are was were be been being has have had can could will would"
        " should may might must very such like",
        "per between through during including however additionally",
    ),
    "fr": _words(
        "un une le la les des du de d l au aux ce cet cette ces son sa ses leur leurs mon ma mes ton ta tes"
        " notre nos votre vos et ou mais donc",
        "car que qu qui dont où si quand comme lorsque lorsqu puisque à en dans sur sous par pour avec sans"
        " chez vers entre est sont était",
        "étaient peut peuvent doit doivent ne n s se j je il ils elle elles on nous vous tu très plus moins"
        " afin cependant",
    ),
    "es": _words(
        "un una unos unas el la los las lo del de al este esta estos estas ese esa esos esas su sus mi mis tu"
        " tus nuestro nuestra y e o u pero",
        "porque aunque que quien cuyo cuya donde si cuando como a en con por para sin sobre entre desde hasta"
        " hacia según es son era eran está estoy",
        "están puede pueden debe deben ha han había se me te le les nos muy más menos tan mientras además"
        " cada",
    ),
}
"""Words that no sentence of a language ends in, or next to none."""


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        score, why = _assess(answer, settings)
        yield (
            answer.unscored("truncated", why)
            if score is None
            else answer.scored("truncated", score, reason=why)
        )


def _assess(answer: Answer, settings: Settings) -> tuple[float | None, str]:
    """Return a score and the reason for it, or None and the reason for none."""
    match answer.completion.finish_reason:
        case "length":
            return 0, "it ran into the length limit"
        case "eos":
            return 1, "the model brought it to an end"
        case _:
            return _end_of(answer.text, answer.example.language.split("-")[0], settings)


def _end_of(text: str, language: str, settings: Settings) -> tuple[float | None, str]:
    if language not in _UNFINISHED:
        return None, f"how a text breaks off in {language} is not known"
    text = text.strip()
    if not any(map(str.isalnum, text)):
        return None, "there is no text that could break off"
    fences = list(_FENCE.finditer(text))
    if len(fences) % 2:
        closing = next((fence for fence in (fences[0], fences[-1]) if _is_of_the_prompt(fence, text)), None)
        if closing is None:
            return 0, "a block is left open"
        text = f"{text[: closing.start()]}{text[closing.end() :]}".strip()
    elif fences and fences[-1].end() == len(text):
        return 1, "it ends with a closed block"
    return _last_line_of(text, language, settings)


def _is_of_the_prompt(fence: re.Match[str], text: str) -> bool:
    """Test whether it closes a fence that the prompt opened around the answer (URIAL does): there is
    text above it, and nothing right below."""
    below = text[fence.end() :].split("\n")[1:2]
    return (
        fence[0].strip() == "```" and bool(text[: fence.start()].strip()) and not any(map(str.strip, below))
    )


def _last_line_of(text: str, language: str, settings: Settings) -> tuple[float | None, str]:
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1]
    if last.lstrip().startswith("|"):
        is_cut = not last.rstrip().endswith("|") or (
            len(lines) > 1 and last.count("|") < lines[-2].count("|")
        )
        return (
            (0, "the table's last row is incomplete")
            if is_cut
            else (1, "it ends with a whole row of a table")
        )
    mark = _MARK.match(last)
    said = last[mark.end() :].strip() if mark else last.strip()
    is_numbered = any((found := _MARK.match(line)) and found[0].strip()[0].isdigit() for line in lines[:-1])
    if not said or (is_numbered and _BARE_NUMBER.match(last)):
        return 0, f"the list item {last.strip()[:20]!r} is empty"
    bare = said.rstrip(_CLOSERS) or said
    end, closed = bare[-1], f"it ends in {said[-1]!r}"
    if end in _ENDS:
        return 1, closed
    if unicodedata.category(end) == "So":
        return 1, "it ends in a pictogram"
    if _CODE.search(last):
        return None, "it ends in what looks like code"
    if said[-1] in _GOES_ON or end in _GOES_ON:
        return 0, closed
    words = re.findall(r"[^\W_]+", bare)
    if (
        words
        and (words[-1].casefold() in _UNFINISHED[language] or words[-1] in _UNFINISHED["en"])
        and bare.endswith(words[-1])
    ):
        return 0, f"it ends in the word {words[-1]!r}"
    opened = next((mark for mark, closing in _OPEN.items() if said.count(mark) > said.count(closing)), None)
    if opened is not None:
        return 0, f"the {opened!r} in its last line is left open"
    if len(words) < settings.min_words:
        return None, f"its last line of {len(words)} words has no closing mark"
    return _unclosed_sentence(lines, mark is not None)


def _unclosed_sentence(lines: list[str], is_item: bool) -> tuple[float | None, str]:
    """A last line of several words without a closing mark: do the others have one?"""
    if is_item and (others := [line.rstrip(_CLOSERS) for line in lines[:-1] if _MARK.match(line)]):
        n_closed = sum(line[-1:] in _ENDS for line in others)
        if 2 * n_closed > len(others):
            return 0, "its last list item lacks the closing mark that the others have"
        if not _SENTENCE_END.search(lines[-1]):
            return None, "its list items have no closing marks"
    if any(_SENTENCE_END.search(line + "\n") for line in lines):
        return 0, "its last sentence lacks the closing mark that others have"
    return None, "no sentence in it has a closing mark"
