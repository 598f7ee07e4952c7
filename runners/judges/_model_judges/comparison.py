"""Comparison of two answers in both orders: the prompts, the replies, and one verdict from two."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from dsl.data.records import Message, Prompt, Verdict
from dsl.judges._comparison import Comparison
from dsl.judges._judge_prompts import JudgePrompts
from runners.engines.contract import EngineAnswer
from runners.judges._model_judges.decide import Decided, Question, both_orders
from runners.judges._model_judges.earlier import earlier_of_two
from runners.judges._model_judges.reply import as_object, objects, writable
from runners.judges.contract import NO_REPLY, Answer, VerdictDetails

T = TypeVar("T")

_KEYS = frozenset({"better", "winner", "verdict", "preferred", "preference", "choice"})
_HALF_JSON = re.compile(rf'"(?:{"|".join(sorted(_KEYS))})"\s*:')
_LETTER = re.compile(
    r"(?:(?:the"
    r" )?(?:answer|response|assistant|option|output|model|réponse|respuesta)\s*)?[\[(]*([ab])[\])]*(?: is"
    r" better)?"
)
_TIES = frozenset({"tie", "[[c]]", "draw", "equal", "both", "neither", "a tie", "égalité", "empate"})
_NOT_APPLICABLE = frozenset({"n/a", "na", "none", "not applicable", "null", ""})


@dataclass(frozen=True)
class Side:
    """Finding on our answer in one order."""

    score: float | None
    """1 it is better, 0.5 neither, 0 the opponent's is."""
    why_not: str | None = None
    reason: str | None = None
    raw: str | None = None
    probabilities: tuple[float, float, float] | None = None
    """That our answer wins, ties, loses."""


def both_prompts(
    answer: Answer, question: str, names: JudgePrompts, text: Comparison, ties: bool
) -> tuple[Prompt, Prompt]:
    """Return the prompts of a written comparison: our answer as A, then as B."""
    ours, theirs = _sides(answer)
    return (
        _prompt(answer, question, ours, theirs, names, text, ties),
        _prompt(answer, question, theirs, ours, names, text, ties),
    )


def both_choices(
    answer: Answer, question: str, names: JudgePrompts, text: Comparison, ties: bool
) -> tuple[Question, Question]:
    """Return the questions of a comparison for a model that decides: our answer first, then second."""
    material = {names.instruction: answer.example.instruction, names.reference: answer.example.reference}
    ours, theirs = _sides(answer)
    words = (names.answer, text.first_answer, text.second_answer)
    outcomes = {"first": text.first, "second": text.second} | ({"tie": text.tie} if ties else {})
    shown = {name: given for name, given in material.items() if given is not None}
    before, swapped = (
        earlier_of_two(one.turns, other.turns, names.instruction, words)
        for one, other in ((ours, theirs), (theirs, ours))
    )
    return both_orders(
        before | shown,
        ours.text,
        theirs.text,
        text.question.replace("{question}", question),
        outcomes,
        (text.first_answer, text.second_answer),
        swapped | shown,
    )


def are_equal(answer: Answer) -> bool:
    """Test whether both sides say the same, in the same conversation."""
    ours, theirs = _sides(answer)
    return ours == theirs


def paired(found: Iterable[tuple[int, T]]) -> Iterator[tuple[int, T, T]]:
    """Yield (k, one, other) as soon as both of the places 2k and 2k + 1 have come, in any order."""
    waiting: dict[int, T] = {}
    for place, one in found:
        if (other := waiting.pop(place ^ 1, None)) is None:
            waiting[place] = one
        else:
            yield (place // 2, other, one) if place % 2 else (place // 2, one, other)


def side_written(reply: EngineAnswer, ties: bool, is_first: bool) -> Side:
    """Read a written reply on our answer, which stood first (A) or second (B)."""
    if reply.text is None:
        return Side(None, f"{NO_REPLY}{reply.error or reply.finish_reason}")
    raw = writable(reply.raw_text or reply.text)
    better, explanation = read_better(reply.text)
    if better is None:
        cut = ", and it was cut at its length limit" if reply.finish_reason == "length" else ""
        return Side(None, writable(f"{explanation}{cut}"), raw=raw)
    if better == "tie" and not ties:
        return Side(None, "the reply is a tie, which was not asked for", raw=raw)
    score = 0.5 if better == "tie" else float((better == "a") == is_first)
    return Side(score, reason=None if explanation is None else writable(explanation), raw=raw)


def side_decided(decided: Decided, is_first: bool) -> Side:
    """Return the most probable outcome for our answer; a tie where two are equally probable."""
    if decided.probabilities is None:
        return Side(None, decided.error)
    p = decided.probabilities
    ours, theirs = ("first", "second") if is_first else ("second", "first")
    win, tie, loss = p[ours], p.get("tie", 0.0), p[theirs]
    score = 1.0 if win > max(tie, loss) else 0.0 if loss > max(win, tie) else 0.5
    return Side(score, probabilities=(win, tie, loss))


def verdict_of(answer: Answer, aspect: str, first: Side, second: Side, details: VerdictDetails) -> Verdict:
    """Combine both orders to one verdict: their common score, or a tie where they differ."""
    sides = {"first": first, "second": second}
    details = {**details}
    details["parts"] = {place: side.score for place, side in sides.items() if side.score is not None} or None
    details["raw"] = _by_place({place: side.raw for place, side in sides.items()})
    if first.probabilities and second.probabilities:
        mean = [
            (one + other) / 2 for one, other in zip(first.probabilities, second.probabilities, strict=True)
        ]
        details["distribution"] = dict(zip(("win", "tie", "loss"), mean, strict=True))
    if first.score is None or second.score is None:
        # A judge that failed says nothing of the answers; named first, it lets the verdict be made again.
        why = sorted(
            {side.why_not or "" for side in sides.values() if side.score is None},
            key=lambda w: not w.startswith(NO_REPLY),
        )
        return answer.unscored(aspect, "; ".join(why), **details)
    reasons = _by_place({place: side.reason for place, side in sides.items()})
    if first.score == second.score:
        details["reason"] = reasons
        return answer.scored(aspect, first.score, **details)
    flip = f"inconsistent: {_OUTCOME[first.score]} standing first, {_OUTCOME[second.score]} standing second"
    details["reason"] = "\n".join(filter(None, (flip, reasons)))
    return answer.scored(aspect, 0.5, **details)


_OUTCOME = {1.0: "it wins", 0.5: "a tie", 0.0: "it loses"}


def read_better(reply: str) -> tuple[str | None, str | None]:
    """Return the better answer by a reply (`a`, `b` or `tie`) and the reason it gives; or None and why it
    cannot be read.

    Read are JSON with the answer's letter, wherever in the reply it stands, the letter in double brackets
    (`[[A]]`), and a reply that is nothing but the letter.
    """
    nested = [as_object(one) for value in objects(reply) for one in (value, *value.values())]
    named = [
        (winner, value.get("reason"))
        for value in nested
        if value is not None
        for key, winner in value.items()
        if key.strip().casefold() in _KEYS and not isinstance(winner, dict)
    ]
    if named:
        found = [(_outcome(winner), reason) for winner, reason in named]
    else:
        # In JSON that cannot be read, marks may be words of an answer that a reason quotes.
        marks = [] if _HALF_JSON.search(reply) else re.findall(r"\[\[\w{1,8}\]\]", reply)
        found = [(_outcome(mark), None) for mark in marks] or [(_outcome(reply), None)]
    outcomes = {outcome for outcome, _ in found}
    if len(outcomes) > 1:
        return None, "the reply names different winners"
    (outcome,) = outcomes
    if outcome is None:
        if named and str(named[0][0]).strip().casefold() in _NOT_APPLICABLE:
            return None, "the judge does not compare the answers"
        return None, "the reply does not say which answer is better"
    reason = found[0][1]
    return outcome, reason if isinstance(reason, str) else None


def _outcome(given: object) -> str | None:
    if not isinstance(given, str):
        return None
    word = given.strip(" \n\t\"'`*.").casefold()
    if word in _TIES:
        return "tie"
    letter = _LETTER.fullmatch(word)
    return None if letter is None else letter[1]


@dataclass(frozen=True)
class _Said:
    """One side of a comparison: its answer, and the conversation before the question as it had it."""

    turns: tuple[Message, ...]
    text: str


def _prompt(
    answer: Answer, question: str, a: _Said, b: _Said, names: JudgePrompts, text: Comparison, ties: bool
) -> Prompt:
    as_a, as_b = f"{names.answer} A", f"{names.answer} B"
    parts = {
        **earlier_of_two(a.turns, b.turns, names.instruction, (names.answer, as_a, as_b)),
        names.instruction: answer.example.instruction,
        names.reference: answer.example.reference,
        as_a: a.text,
        as_b: b.text,
    }
    # The marks around the material cannot be written by whoever wrote it: they hold its hash.
    mark = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    material = "\n\n".join(
        f"[{name} {mark}]\n{given}\n[{names.end} {name} {mark}]"
        for name, given in parts.items()
        if given is not None
    )
    form = f'{{"reason": "{names.reason}", "better": "{text.better if ties else text.better_of_two}"}}'
    user = f"{material}\n\n{text.compare} {question}\n\n{names.reply}\n{form}"
    return Prompt(messages=(("system", names.system), ("user", user)), json_schema=json.dumps(_schema(ties)))


def _schema(ties: bool) -> dict[str, object]:
    better = {"type": "string", "enum": ["A", "B", *(["tie"] if ties else [])]}
    properties = {"reason": {"type": "string"}, "better": better}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _sides(answer: Answer) -> tuple[_Said, _Said]:
    """Our side and the opponent's."""
    assert answer.opponent is not None, "a judge that compares is handed an opponent"
    assert answer.opponent.text is not None, "opponents without text are not handed to judges"
    turns = answer.example.turns
    return _Said(turns, answer.text), _Said(answer.opponent.turns or turns, answer.opponent.text)


def _by_place(texts: dict[str, str | None]) -> str | None:
    """Join the texts of both orders, each under the place where our answer stood."""
    return "\n\n".join(f"[standing {place}]\n{text}" for place, text in texts.items() if text) or None
