"""A rubric judged by a model that writes: what it is asked, and verdicts from its replies."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from statistics import fmean

from dsl.data.records import Prompt, Provenance, Verdict
from dsl.engines.contract import EngineSettings
from dsl.judges._judge_prompts import Frame
from dsl.judges._rubric import Aspect
from runners.engines.contract import EngineAnswer
from runners.judges._model_judges.reply import Found, read_reply
from runners.judges.contract import NO_REPLY, Answer, VerdictDetails


def prompt_for(answer: Answer, aspects: Mapping[str, Aspect], frame: Frame) -> Prompt:
    """What the judge is asked about one answer. The marks around the material cannot be written by whoever
    wrote it: they hold its hash."""
    parts = {
        frame.instruction: answer.example.instruction,
        frame.reference: answer.example.reference,
        frame.answer: answer.text,
    }
    mark = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    material = "\n\n".join(
        f"[{name} {mark}]\n{text}\n[{frame.end} {name} {mark}]"
        for name, text in parts.items()
        if text is not None
    )
    criteria = "\n\n".join(
        f"{name}: {aspect.question}\n"
        + "\n".join(f"  {level} = {text}" for level, text in enumerate(aspect.levels, 1))
        for name, aspect in aspects.items()
    )
    form = ", ".join(
        f'"{name}": {{"reason": "{frame.reason}", "score": {_scale(aspect, frame)}}}'
        for name, aspect in aspects.items()
    )
    user = f"{material}\n\n{frame.judge}\n\n{criteria}\n\n{frame.reply}\n{{{form}}}"
    return Prompt(
        messages=(("system", frame.system), ("user", user)), json_schema=json.dumps(_schema(aspects))
    )


def verdict_of(
    answer: Answer,
    aspect: str,
    n_levels: int,
    replies: Sequence[EngineAnswer],
    na_as: int | None,
    spent: VerdictDetails,
) -> Verdict:
    """The verdict of one reply, or of several to the same question: the mean of those that give a score."""
    found = [_read(reply, aspect, n_levels, na_as) for reply in replies]
    raw = [_writable(reply.raw_text or reply.text or "") for reply in replies]
    has_replied = any(reply.text is not None for reply in replies)
    told = VerdictDetails(
        raw=None if not has_replied else raw[0] if len(raw) == 1 else json.dumps(raw, ensure_ascii=False),
        **served_by(replies),
        **spent,
    )
    scores = {str(number): float(one.score) for number, one in enumerate(found, 1) if one.score is not None}
    why_not = list(dict.fromkeys(one.why_not for one in found if one.why_not is not None))
    # A judge that failed says nothing of the answer; named first, it lets the verdict be made again.
    why_not.sort(key=lambda why: not why.startswith(NO_REPLY))
    if not scores:
        return answer.unscored(aspect, "; ".join(why_not), n_faults=n_faults_of(replies), **told)
    if len(found) == 1:
        return answer.scored(aspect, scores["1"], reason=found[0].reason, **told)
    reasons = [
        f"{number}: {one.reason}"
        for number, one in enumerate(found, 1)
        if one.score is not None and one.reason
    ]
    if why_not:
        reasons.append(
            f"{len(found) - len(scores)} of {len(found)} repeats have no score: {'; '.join(why_not)}"
        )
    return answer.scored(
        aspect, fmean(scores.values()), parts=scores, reason="\n".join(reasons) or None, **told
    )


def spent_on(replies: Sequence[EngineAnswer], model: EngineSettings) -> VerdictDetails:
    """What requests took together; of several verdicts from the same requests, the first one carries it."""
    told = VerdictDetails(
        n_prompt_tokens=_sum([reply.n_prompt_tokens for reply in replies]),
        n_new_tokens=_sum([reply.n_new_tokens for reply in replies]),
        seconds=_sum([reply.seconds for reply in replies]),
    )
    prices = [getattr(model, f"usd_per_million_{kind}_tokens", None) for kind in ("prompt", "new")]
    tokens = (told.get("n_prompt_tokens"), told.get("n_new_tokens"))
    if None not in prices and None not in tokens:
        told["usd"] = (prices[0] * tokens[0] + prices[1] * tokens[1]) / 1e6
    return told


def served_by(replies: Sequence[EngineAnswer]) -> VerdictDetails:
    """The server's names for its model and its configuration, of the first reply that has each."""
    fingerprint = next(
        (reply.system_fingerprint for reply in replies if reply.system_fingerprint is not None), None
    )
    return VerdictDetails(
        model_served=next((reply.model_served for reply in replies if reply.model_served is not None), None),
        provenance=Provenance(system_fingerprint=fingerprint),
    )


def n_faults_of(replies: Sequence[EngineAnswer]) -> int:
    """1 where a reply failed for a reason that may pass."""
    return int(any(reply.is_transient for reply in replies))


def _scale(aspect: Aspect, frame: Frame) -> str:
    return frame.score.replace("{lowest}", "1").replace("{highest}", str(len(aspect.levels)))


def _schema(aspects: Mapping[str, Aspect]) -> dict[str, object]:
    """The form of a reply. Scores are texts, as "N/A" is one."""
    said = {
        name: _object({"reason": {"type": "string"}, "score": {"type": "string", "enum": _levels(a)}})
        for name, a in aspects.items()
    }
    return _object(said)


def _levels(aspect: Aspect) -> list[str]:
    return [*(str(level) for level in range(1, len(aspect.levels) + 1)), "N/A"]


def _object(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _read(reply: EngineAnswer, aspect: str, n_levels: int, na_as: int | None) -> Found:
    if reply.text is None:
        return Found(None, f"{NO_REPLY}{reply.error or reply.finish_reason}")
    found = read_reply(reply.text, aspect, n_levels, na_as)
    if found.score is None:
        cut = ", and it was cut at its length limit" if reply.finish_reason == "length" else ""
        return Found(None, _writable(f"{found.why_not}{cut}"))
    return Found(found.score, reason=None if found.reason is None else _writable(found.reason))


def _sum(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _writable(text: str) -> str:
    """Half a surrogate pair, which JSON can name, cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode()
