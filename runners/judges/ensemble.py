"""`ensemble`: one verdict from several judges of the same answers, by their mean or by majority."""

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import fmean

from dsl.data.records import Verdict
from dsl.judges.contract import Reads
from dsl.judges.ensemble import Settings
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("verdicts",)


def aspects(settings: Settings) -> dict[str, object]:
    """Return what decides on the verdicts besides those of the members: how these are combined."""
    counted = ("ensemble", settings.of, settings.by, _needed(settings))
    return dict.fromkeys(settings.verdict_aspects(), counted)


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        for aspect in answer.keys:
            yield _verdict(answer, aspect, settings)


def _verdict(answer: Answer, aspect: str, settings: Settings) -> Verdict:
    given: dict[str, float] = {}
    lacking: dict[str, str] = {}
    for name in settings.of:
        found = next(
            (v for v in answer.verdicts.get(name, ()) if settings.aspects is None or v.aspect == aspect), None
        )
        if found is None:
            lacking[name] = "it has no verdict"
        elif found.score is None:
            lacking[name] = found.unscored_reason or "no reason given"
        else:
            given[name] = found.score
    without = f"without {'; '.join(f'{name}: {why}' for name, why in lacking.items())}" if lacking else None
    if len(given) < _needed(settings):
        why = (
            f"{len(given)} of {len(settings.of)} judges have a score and {_needed(settings)} are needed:"
            f" {without}"
        )
        return answer.unscored(aspect, why, parts=given or None)
    if settings.by == "mean":
        return answer.scored(aspect, fmean(given.values()), reason=without, parts=given)
    score, n = Counter(given.values()).most_common(1)[0]
    if 2 * n <= len(given):
        said = ", ".join(f"{name} {value:g}" for name, value in given.items())
        return answer.unscored(
            aspect, "; ".join(filter(None, (f"no majority: {said}", without))), parts=given
        )
    return answer.scored(aspect, score, reason=without, parts=given)


def _needed(settings: Settings) -> int:
    return settings.min_judges or len(settings.of) // 2 + 1
