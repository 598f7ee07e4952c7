"""Settings of the `recorded` judge."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.data.files import is_here
from dsl.data.fingerprints import Fingerprints
from dsl.data.paths import CellNames
from dsl.data.rows import Rows
from dsl.data.source import FileSource
from dsl.data.sources import rows_of_cell, source_of
from dsl.errors import DataError
from dsl.judges._verdict_file import Scores, VerdictColumns, Verdicts, read_verdicts
from dsl.judges.contract import JudgeSettings, Scale
from dsl.values import Name, NameSet


class Settings(JudgeSettings):
    """Verdicts from a file, each matched with the answer it is about. An answer without one stays unscored
    and says why."""

    LABEL: ClassVar[str] = "recorded verdict"
    judge: Literal["recorded"] = "recorded"
    verdicts: Rows
    """One file of verdicts, or as many as its path has readings. Where a map of files names none for a cell,
    it has no verdicts."""
    source: FileSource | None = Field(None, json_schema_extra={"readOnly": True})
    """Filled in by the plan."""
    columns: VerdictColumns
    against: Name | None = None
    """With `preference`: whose answers the study's were compared with. A free name."""
    format: Literal["just_eval"] | None = None
    """With `raw`: how it is read. `just_eval` is JSON of the form `{aspect: {"reason": …, "score": …}}`,
    scores from 1 to 5."""
    na_as: int | None = Field(None, ge=1, le=5)
    """With `raw`: the score that "N/A" stands for (just-eval's authors count 5); without it, "N/A" is
    unscored."""
    aspects: NameSet | None = None
    """With `raw` or a column `aspect`: the aspects to look for."""
    score_range: tuple[float, float] | None = None
    """With `score` or `scores`: the lowest and the highest score there is, as `[1, 5]`. Without it, they are
    those of the column's `values`; scores of a column of numbers can't be averaged with others."""
    people: bool = False
    """True where people gave these verdicts: a report says how far the study's judges agree with them."""
    rule: bool = False
    """True where a rule gave them, such as `exact_match` or a unit test: they are nobody's opinion."""
    categories: tuple[str, ...] | None = Field(None, min_length=1)
    """Only examples of these categories were judged; without it, all."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        columns = self.columns
        if (columns.preference is None) != (self.against is None):
            raise ValueError(
                "a `preference` is one over another answer: name both it and `against`, whose answers"
                " those are"
            )
        if (columns.raw is None) != (self.format is None):
            raise ValueError("`raw` needs its `format`, and nothing else has one. There is: just_eval")
        if self.rule and (self.people or columns.raw is not None):
            raise ValueError("`rule` is for verdicts that a rule gave: neither people's nor a judge's words")
        if self.na_as is not None and columns.raw is None:
            raise ValueError("`na_as` is for `raw`: a column of numbers has no N/A to be read")
        if self.score_range is not None:
            if columns.score is None and columns.scores is None:
                raise ValueError(
                    "`score_range` is for a column of scores: a `preference` and `raw` have a scale of"
                    " their own"
                )
            if self.score_range[0] >= self.score_range[1]:
                raise ValueError("`score_range` is the lowest score and then the highest")
        by_row = columns.raw is not None or columns.aspect is not None
        if by_row != (self.aspects is not None):
            raise ValueError(
                "name the `aspects` to look for"
                if by_row
                else "`aspects` are looked for in `raw`, or by a column `aspect`"
            )
        return self

    def of_cell(self, cell: CellNames, fingerprints: Fingerprints, folder: Path) -> "Settings | None":
        if cell.method == self.against:  # nobody is compared with themselves
            return None
        if isinstance(self.verdicts.path, dict) and not cell.own() & self.verdicts.path.keys():
            return None
        rows = rows_of_cell(self.verdicts, cell)
        source = source_of(rows, fingerprints, folder, cell.language)
        if not isinstance(source, FileSource):
            raise DataError(f"{source.hub}: recorded verdicts are read from files. Name a `path` or a `url`")
        here = self.model_copy(update={"source": source})
        if not is_here(source):  # it is fetched, and checked, by the judge's step
            return here
        found = here.read()  # a missing column is reported before anything runs
        if self.score_range is not None:
            low, high = self.score_range
            scores = ((one.row, one.score) for rows in found.by_key.values() for one in rows)
            for row, score in scores:
                if score is not None and not low <= score <= high:
                    within = f"`score_range: [{low:g}, {high:g}]`"
                    raise DataError(f"{source.path}: row {row}: a score of {score:g} is not within {within}")
        return here

    def read(self, source: FileSource | None = None) -> Verdicts:
        """Return the verdicts of a cell's settings; `source`: with the place of a file that was fetched."""
        assert self.source is not None
        return read_verdicts(source or self.source, self.columns)

    def ambiguous_coordinates(self) -> frozenset[str]:
        """Coordinates of cells whose answers it cannot distinguish.

        Cells that differ in one of these may not have the same settings. Among `model`, `method`, `language`,
        `tuned on`, `seed` and `turn`.
        """
        if self.columns.response is not None:
            return frozenset()
        # instructions differ from language to language, and from turn to turn
        by_item = self.columns.item is not None
        told = {
            "language": by_item and self.columns.language is None,
            "turn": by_item and self.columns.instruction is None,
        }
        return frozenset(
            {"model", "method", "tuned on", "seed"} | {name for name, same in told.items() if same}
        )

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> Scale | None:
        if self.format == "just_eval":
            return 1.0, 5.0
        if self.columns.preference is not None:
            return 0.0, 1.0
        column = (self.columns.scores or {}).get(aspect, self.columns.score)
        if self.score_range is None and isinstance(column, Scores) and column.values is not None:
            low, high = min(column.values.values()), max(column.values.values())
            return (low, high) if low < high else None
        return self.score_range

    def is_people(self) -> bool:
        return self.people

    def is_by_rule(self) -> bool:
        """False, whoever gave its verdicts: they are read here, and not decided."""
        return False

    def opinion(self) -> str | None:
        if self.rule:
            return None
        if self.people:
            return "the opinion of people, as it was recorded"
        return "the opinion of a judge outside this study, as it was recorded"

    def verdict_aspects(self) -> tuple[str, ...]:
        return self.aspects or tuple(self.columns.scores or (self.judge,))
