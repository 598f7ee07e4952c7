"""`recorded`: verdicts from a file: scores, preferences, or a judge's own words to be read here."""

from collections.abc import Iterable, Iterator

from dsl.data.records import Example, Verdict
from dsl.data.source import FileSource
from dsl.judges._verdict_file import Given, number_in, read_verdicts
from dsl.judges.contract import Reads
from dsl.judges.recorded import Settings
from runners.judges._model_judges.reply import read_reply
from runners.judges.contract import Answer, Tools, VerdictDetails
from runners.prompting.source_rows import here

READS: tuple[Reads, ...] = ("item", "text", "instruction", "language")


def aspects(settings: Settings) -> dict[str, object]:
    return dict.fromkeys(settings.verdict_aspects(), settings)


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return settings.categories is None or example.category in settings.categories


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    source = here(FileSource.model_validate(settings.verdicts.model_dump()))
    recorded = read_verdicts(settings.verdicts.model_copy(update={"path": source.path}), settings.columns)
    named = source.title
    for answer in answers:
        rows = recorded.get(settings.columns.key(answer.example), ())
        for aspect in answer.keys:
            yield _verdict(
                answer, aspect, [row for row in rows if row.aspect in (aspect, "")], named, settings
            )


def _verdict(answer: Answer, aspect: str, rows: list[Given], named: str, settings: Settings) -> Verdict:
    if not rows:
        return answer.unscored(aspect, f"no recorded verdict in {named}")
    about = [row for row in rows if row.is_about(answer.text)]
    if not about:
        return answer.unscored(aspect, f"the verdict recorded in {named} is about another answer")
    texts = [row.text for row in about if row.text is not None]
    if not texts:
        return answer.unscored(aspect, f"{about[0].missing} in {named}")
    is_raw = settings.columns.raw is not None
    # 2 and 2.0 are one score
    differ = {text if is_raw or (number := number_in(text)) is None else number for text in texts}
    if len(differ) > 1:
        return answer.unscored(aspect, f"{len(differ)} verdicts that differ are recorded in {named}")
    text = texts[0]
    if is_raw:
        found = read_reply(text, aspect, na_as=settings.na_as)
        details: VerdictDetails = {"reason": found.reason, "raw": text}
        if found.score is None:
            return answer.unscored(aspect, found.why_not or "no score", **details)
        return answer.scored(aspect, found.score, **details)
    score = number_in(text)
    if score is not None and settings.columns.preference is not None:
        score = 0.5 if score == 0 else score - 1 if 1 <= score <= 2 else None
    if score is None:
        what = "score" if settings.columns.preference is None else "preference"
        return answer.unscored(
            aspect, f"{text[:40]!r} is no {what}" if text.strip() else f"the {what} in {named} is empty"
        )
    return answer.scored(aspect, score)
