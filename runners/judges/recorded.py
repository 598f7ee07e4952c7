"""`recorded`: verdicts from a file: scores, preferences, or a judge's own words to be read here."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import mean

from dsl.data.records import Example, Verdict
from dsl.judges._verdict_file import Given
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
    assert settings.source is not None
    recorded = settings.read(here(settings.source)).by_key
    for answer in answers:
        rows = recorded.get(settings.columns.key(answer.example), ())
        for aspect in answer.keys:
            yield _verdict(answer, aspect, [row for row in rows if row.aspect in (aspect, "")], settings)


def _verdict(answer: Answer, aspect: str, rows: Sequence[Given], settings: Settings) -> Verdict:
    assert settings.source is not None
    named = settings.source.title
    if not rows:
        return answer.unscored(aspect, f"no recorded verdict in {named}")
    asked = [row for row in rows if row.is_about(answer.example)]
    if not asked:
        return answer.unscored(aspect, f"the instruction of row {rows[0].row} in {named} is another one")
    about = [row for row in asked if row.is_on(answer.text)]
    if not about:
        return answer.unscored(aspect, f"the verdict recorded in {named} is about another answer")
    found = [_read(row, aspect, settings) for row in about]
    silent = [
        f"not counted: {why if row.raw is None else f'row {row.row}: {why}'}"
        for row, (_, why, _) in zip(about, found, strict=True)
        if why is not None
    ]
    details: VerdictDetails = {
        "reason": _each([*(reason for _, _, reason in found), *(silent if len(silent) < len(found) else ())]),
        "raw": _each([row.raw for row in about]),
    }
    scores = [(row, score) for row, (score, _, _) in zip(about, found, strict=True) if score is not None]
    if len(about) > 1 and scores:
        details["parts"] = {f"row {row.row}": score for row, score in scores}
    elif len(about) == 1 and about[0].orders is not None:
        details["parts"] = dict(about[0].orders)
    if not scores:
        why = next((why for _, why, _ in found if why), "no score")
        return answer.unscored(aspect, f"{why} in {named}", **details)
    return answer.scored(aspect, mean(score for _, score in scores), **details)


def _read(row: Given, aspect: str, settings: Settings) -> tuple[float | None, str | None, str | None]:
    """Return a row's score, or None and why it has none; and the judge's reason."""
    if row.raw is None:
        return row.score, row.missing, None
    read = read_reply(row.raw, aspect, na_as=settings.na_as)
    return read.score, read.why_not, read.reason


def _each(texts: Iterable[str | None]) -> str | None:
    """Distinct texts, a paragraph each."""
    return "\n\n".join(dict.fromkeys(filter(None, texts))) or None
