"""Rubrics in writing: the prompt of a model judge, and verdicts from its replies."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TypeVar, cast

from dsl.data.records import Prompt, Provenance, Verdict
from dsl.engines.contract import EngineSettings, ServerSettings
from dsl.judges._judge_prompts import JudgePrompts
from dsl.judges._rubric import Aspect
from runners.engines.contract import EngineAnswer
from runners.judges._model_judges.earlier import earlier
from runners.judges._model_judges.reply import ReadScore, read_reply, writable
from runners.judges.contract import NO_REPLY, Answer, VerdictDetails

Number = TypeVar("Number", int, float)


def prompt_for(answer: Answer, aspects: Mapping[str, Aspect], prompts: JudgePrompts) -> Prompt:
    """Return a judge's prompt on one answer.

    The marks around each text hold its hash, so that its author cannot have written them.
    """
    parts = {
        **earlier(answer.example.turns, prompts.instruction, prompts.answer),
        prompts.instruction: answer.example.instruction,
        prompts.reference: answer.example.reference,
        prompts.answer: answer.text,
    }
    mark = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    material = "\n\n".join(
        f"[{name} {mark}]\n{text}\n[{prompts.end} {name} {mark}]"
        for name, text in parts.items()
        if text is not None
    )
    criteria = "\n\n".join(
        f"{name}: {aspect.question}\n"
        + "\n".join(f"  {level} = {text}" for level, text in enumerate(aspect.levels, 1))
        for name, aspect in aspects.items()
    )
    form = ", ".join(
        f'"{name}": {{"reason": "{prompts.reason}", "score": {_scale(aspect, prompts)}}}'
        for name, aspect in aspects.items()
    )
    user = f"{material}\n\n{prompts.judge}\n\n{criteria}\n\n{prompts.reply}\n{{{form}}}"
    return Prompt(
        messages=(("system", prompts.system), ("user", user)), json_schema=json.dumps(_schema(aspects))
    )


def verdict_of(
    answer: Answer,
    aspect: str,
    n_levels: int,
    replies: Sequence[EngineAnswer],
    na_as: int | None,
    spent: VerdictDetails,
) -> Verdict:
    """Return the verdict of one reply, or the mean of several to the same question."""
    found = [_read(reply, aspect, n_levels, na_as) for reply in replies]
    raw = [writable(reply.raw_text or reply.text or "") for reply in replies]
    has_replied = any(reply.text is not None for reply in replies)
    details: VerdictDetails = {
        "raw": None if not has_replied else raw[0] if len(raw) == 1 else json.dumps(raw, ensure_ascii=False),
        **served_by(replies),
        **spent,
    }
    scores = {str(number): float(one.score) for number, one in enumerate(found, 1) if one.score is not None}
    why_not = list(dict.fromkeys(one.why_not for one in found if one.why_not is not None))
    # A judge that failed says nothing of the answer; named first, it lets the verdict be made again.
    why_not.sort(key=lambda why: not why.startswith(NO_REPLY))
    if not scores:
        details["n_faults"] = n_faults_of(replies)
        return answer.unscored(aspect, "; ".join(why_not), **details)
    if len(found) == 1:
        details["reason"] = found[0].reason
        return answer.scored(aspect, scores["1"], **details)
    reasons = [
        f"{number}: {one.reason}"
        for number, one in enumerate(found, 1)
        if one.score is not None and one.reason
    ]
    if why_not:
        reasons.append(
            f"{len(found) - len(scores)} of {len(found)} repeats have no score: {'; '.join(why_not)}"
        )
    details |= {"parts": scores, "reason": "\n".join(reasons) or None}
    return answer.scored(aspect, fmean(scores.values()), **details)


def spent_on(replies: Sequence[EngineAnswer], model: EngineSettings) -> VerdictDetails:
    """Add up what requests took; the first of several verdicts from the same requests carries it."""
    details = VerdictDetails(
        n_prompt_tokens=_sum([reply.n_prompt_tokens for reply in replies]),
        n_new_tokens=_sum([reply.n_new_tokens for reply in replies]),
        seconds=_sum([reply.seconds for reply in replies]),
    )
    price = model.price() if isinstance(model, ServerSettings) else None
    n_prompt, n_new = details.get("n_prompt_tokens"), details.get("n_new_tokens")
    if price is not None and n_prompt is not None and n_new is not None:
        details["usd"] = price.usd(n_prompt, n_new)
    return details


def served_by(replies: Sequence[EngineAnswer]) -> VerdictDetails:
    """Return the server's names for its model and configuration, from the first reply that has each."""
    fingerprint = next(
        (reply.system_fingerprint for reply in replies if reply.system_fingerprint is not None), None
    )
    return VerdictDetails(
        model_served=next((reply.model_served for reply in replies if reply.model_served is not None), None),
        provenance=Provenance(system_fingerprint=fingerprint),
    )


def n_faults_of(replies: Sequence[EngineAnswer]) -> int:
    """Return 1 where a reply failed for a reason that may pass."""
    return int(any(reply.is_transient for reply in replies))


def _scale(aspect: Aspect, prompts: JudgePrompts) -> str:
    return prompts.score.replace("{lowest}", "1").replace("{highest}", str(len(aspect.levels)))


def _schema(aspects: Mapping[str, Aspect]) -> dict[str, object]:
    """Return the JSON Schema of a reply. Scores are texts, as "N/A" is one."""
    return _object(
        {
            name: _object(
                {"reason": {"type": "string"}, "score": {"type": "string", "enum": _levels(aspect)}}
            )
            for name, aspect in aspects.items()
        }
    )


def _levels(aspect: Aspect) -> list[str]:
    return [*(str(level) for level in range(1, len(aspect.levels) + 1)), "N/A"]


def _object(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _read(reply: EngineAnswer, aspect: str, n_levels: int, na_as: int | None) -> ReadScore:
    if reply.text is None:
        return ReadScore(None, f"{NO_REPLY}{reply.error or reply.finish_reason}")
    found = read_reply(reply.text, aspect, n_levels, na_as)
    if found.score is None:
        cut = ", and it was cut at its length limit" if reply.finish_reason == "length" else ""
        return ReadScore(None, writable(f"{found.why_not}{cut}"))
    return ReadScore(found.score, reason=None if found.reason is None else writable(found.reason))


def _sum(numbers: Sequence[Number | None]) -> Number | None:
    known = [number for number in numbers if number is not None]
    return cast("Number", sum(known)) if known else None
