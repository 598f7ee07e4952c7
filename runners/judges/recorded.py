"""`recorded`: verdicts that someone has already paid for, read from a file: scores, preferences, or a judge's own words to be read here."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.data.files import format_of
from dsl.data.fingerprints import Pins
from dsl.data.records import Example, Verdict
from dsl.errors import DataError
from dsl.settings import JudgeSettings, Scale
from dsl.values import Language, Name, NameSet
from runners.judges._reply import read_reply
from runners.judges._verdict_file import Given, VerdictColumns, VerdictFile, read_verdicts
from runners.judges.contract import Answer, Reads, Told, Tools

READS: tuple[Reads, ...] = ("item", "text", "instruction", "language")


class Settings(JudgeSettings):
    """Verdicts from a file, each matched with the answer it is about. An answer without one stays unscored and says why."""

    LABEL: ClassVar[str] = "recorded verdict"
    judge: Literal["recorded"] = "recorded"
    verdicts: VerdictFile
    columns: VerdictColumns
    against: Name | None = None
    """With `preference`: whose answers the study's were compared with. A free name."""
    format: Literal["just_eval"] | None = None
    """With `raw`: how it is read. `just_eval` is JSON of the form `{aspect: {"reason": …, "score": …}}`, scores from 1 to 5."""
    na_as: int | None = Field(None, ge=1, le=5)
    """With `raw`: the score that "N/A" stands for (just-eval's authors count 5); without it, "N/A" is unscored."""
    aspects: NameSet | None = None
    """With `raw` or a column `aspect`: the aspects to look for."""
    score_range: tuple[float, float] | None = None
    """With `score` or `scores`: the lowest and the highest score there is, as `[1, 5]`. Without it, the scores can't be averaged with others."""
    categories: tuple[str, ...] | None = Field(None, min_length=1)
    """Only examples of these categories were judged; without it, all."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        columns = self.columns
        if (columns.preference is None) != (self.against is None):
            raise ValueError("a `preference` is one over another answer: name both it and `against`, whose answers those are")
        if (columns.raw is None) != (self.format is None):
            raise ValueError("`raw` needs its `format`, and nothing else has one. There is: just_eval")
        if self.na_as is not None and columns.raw is None:
            raise ValueError("`na_as` is for `raw`: a column of numbers has no N/A to be read")
        if self.score_range is not None:
            if columns.score is None and columns.scores is None:
                raise ValueError("`score_range` is for a column of scores: a `preference` and `raw` have a scale of their own")
            if self.score_range[0] >= self.score_range[1]:
                raise ValueError("`score_range` is the lowest score and then the highest")
        by_row = columns.raw is not None or columns.aspect is not None
        if by_row != (self.aspects is not None):
            raise ValueError("name the `aspects` to look for" if by_row else "`aspects` are looked for in `raw`, or by a column `aspect`")
        return self

    def of_cell(self, model: Name, method: Name, language: Language, pins: Pins, folder: Path) -> "Settings":
        named = self.verdicts
        path = folder / named.path.replace("{language}", language).replace("{model}", model).replace("{method}", method)
        kind = named.format or format_of(path.name)
        if kind is None:
            raise DataError(f"{path}: the ending does not tell the format. Name it: `format: jsonl` (or json, csv, tsv, parquet)")
        file = VerdictFile.model_validate({"path": str(path), "format": kind, "header": named.header, "sha256": pins.file(path)})
        given = read_verdicts(file, self.columns)  # a column that is not there is told before anything runs
        if self.score_range is not None:
            low, high = self.score_range
            scores = (_number(row.text) for rows in given.values() for row in rows if row.text is not None)
            if off := [score for score in scores if score is not None and not low <= score <= high]:
                raise DataError(f"{path}: a score of {off[0]:g} is not within `score_range: [{low:g}, {high:g}]`")
        return self.model_copy(update={"verdicts": file})

    def concerns(self, method: Name) -> bool:
        return method != self.against  # nobody is compared with themselves

    def confuses(self) -> frozenset[str]:
        if self.columns.response is not None:
            return frozenset()
        told = self.columns.item is None or self.columns.language is not None  # instructions differ from language to language
        return frozenset({"model", "method", "tuned on", "seed"} | (set() if told else {"language"}))

    def is_settled(self) -> bool:
        return True

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> Scale | None:
        if self.format == "just_eval":
            return 1.0, 5.0
        return (0.0, 1.0) if self.columns.preference is not None else self.score_range

    def opinion(self) -> str:
        return "the opinion of a judge outside this study, as it was recorded"

    def verdict_aspects(self) -> tuple[str, ...]:
        return self.aspects or tuple(self.columns.scores or (self.judge,))


def aspects(settings: Settings) -> dict[str, object]:
    return dict.fromkeys(settings.verdict_aspects(), settings)


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    return settings.categories is None or example.category in settings.categories


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    recorded = read_verdicts(settings.verdicts, settings.columns)
    named = Path(settings.verdicts.path).name
    for answer in answers:
        rows = recorded.get(settings.columns.key(answer.example), ())
        for aspect in answer.keys:
            yield _verdict(answer, aspect, [row for row in rows if row.aspect in (aspect, "")], named, settings)


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
    differ = {text if is_raw or (number := _number(text)) is None else number for text in texts}  # 2 and 2.0 are one score
    if len(differ) > 1:
        return answer.unscored(aspect, f"{len(differ)} verdicts that differ are recorded in {named}")
    text = texts[0]
    if is_raw:
        found = read_reply(text, aspect, na_as=settings.na_as)
        told: Told = {"reason": found.reason, "raw": text}
        if found.score is None:
            return answer.unscored(aspect, found.why_not or "no score", **told)
        return answer.scored(aspect, found.score, **told)
    score = _number(text)
    if score is not None and settings.columns.preference is not None:
        score = 0.5 if score == 0 else score - 1 if 1 <= score <= 2 else None
    if score is None:
        what = "score" if settings.columns.preference is None else "preference"
        return answer.unscored(aspect, f"{text[:40]!r} is no {what}" if text.strip() else f"the {what} in {named} is empty")
    return answer.scored(aspect, score)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
