"""Rubrics: aspects of an answer, each a question with levels. They lie in
`runners/judges/rubrics/<name>/<language>.yaml` or in a study's own file."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dsl.data.fingerprints import RUNNERS, Fingerprints, combined, file_sha256
from dsl.data.paths import CellNames
from dsl.data.yaml_values import read_value, value_sha256
from dsl.engines.contract import EngineSettings
from dsl.errors import DataError
from dsl.judges._judge_prompts import Sentence, judge_prompts
from dsl.judges.contract import JudgeSettings, Scale, scale_text
from dsl.values import Language, Name, NameSet, Sha256, Value

SHIPPED = RUNNERS / "judges" / "rubrics"


class Aspect(Value):
    """One thing an answer is judged on."""

    question: Sentence
    levels: Annotated[tuple[Sentence, ...], Field(min_length=2, max_length=10)]
    """Description of an answer of each level, from 1 (worst) on."""


class OwnQuestion(Value):
    """A question of a study's own, in place of a rubric's aspect."""

    question: Sentence
    levels: Annotated[tuple[Sentence, ...], Field(min_length=2, max_length=10)] | None = None
    """Description of an answer of each level, from 1 (worst) on; the score is the expected level. Without
    levels it is a yes-or-no question, and the score is the probability of yes."""


class OtherThan(Value):
    """Any value but these."""

    other_than: Annotated[tuple[str, ...], Field(min_length=1)]


Condition = dict[str, tuple[str, ...] | OtherThan]
"""Column -> the values it may have, in every column named: `{category: [safety]}` or `{category: {other_than:
[safety]}}`. A column is `category` or one that the data set names under `extra`. Without a column, every item
meets it."""


class Rubric(Value):
    """A rubric file."""

    when: dict[Name, Condition] = {}
    """Aspect -> the items it is judged on; an aspect that is not named here is judged on all."""
    aspects: Annotated[dict[Name, Aspect], Field(min_length=1)]

    @model_validator(mode="after")
    def _conditions_are_of_aspects(self) -> Self:
        if unknown := [name for name in self.when if name not in self.aspects]:
            raise ValueError(
                f"`when` names {', '.join(unknown)}, which is not among the aspects {', '.join(self.aspects)}"
            )
        return self

    def chosen(self, names: tuple[Name, ...] | None) -> dict[Name, Aspect]:
        """The aspects named, in the rubric's order; all of them where none is.

        Raises:
            DataError: a name is not in the rubric.
        """
        wanted = names or tuple(self.aspects)
        if unknown := [name for name in wanted if name not in self.aspects]:
            raise DataError(f"the rubric has no {', '.join(unknown)}. It has {', '.join(self.aspects)}")
        return {name: aspect for name, aspect in self.aspects.items() if name in wanted}


class RubricFile(Value):
    """A study's own rubric."""

    file: str
    """A YAML file of the form of `runners/judges/rubrics/just_eval/en.yaml`, relative to the spec.
    `{language}` in its name is the language of the instructions."""
    sha256: Sha256 | None = Field(default=None, json_schema_extra={"readOnly": True})
    """Filled in by the plan."""
    levels: dict[Name, int] = Field(default={}, json_schema_extra={"readOnly": True})
    """Filled in by the plan: how many levels each aspect has. Their text is in the file, so they are not
    counted."""


class RubricSettings(JudgeSettings):
    """Settings shared by the judges that go by a rubric."""

    rubric: Name | RubricFile = "just_eval"
    """A rubric that ships with xp, or `{file: …}`."""
    aspects: NameSet | None = None
    """The aspects to judge; without it, all of the rubric."""
    when: dict[Name, Condition] = {}
    """Aspect -> the items it is judged on, in place of the rubric's own condition: `{safety: {split:
    [safety]}}`. An item outside gets no verdict on the aspect; `{}` judges every item."""
    instructions_language: Literal["en", "item"] = "en"
    """The language of the judge's instructions and of the rubric: English, or the item's own."""
    model: EngineSettings
    language: Language = Field("en", json_schema_extra={"readOnly": True})
    """Filled in by the plan: the language of the instructions in the cell."""
    sha256: Sha256 | None = Field(default=None, json_schema_extra={"readOnly": True})
    """Filled in by the plan: digest of the texts that ship with xp."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if isinstance(self.rubric, str):
            if self.rubric not in shipped():
                raise ValueError(
                    f"no rubric `{self.rubric}` ships with xp. There are: {', '.join(shipped())}. Your own is"
                    " named by `{file: …}`"
                )
            try:
                self._check()
            except DataError as error:
                raise ValueError(str(error)) from error
        return self

    def pinned(self, languages: tuple[Language, ...], fingerprints: Fingerprints, folder: Path) -> Self:
        here = self.model_copy(update={"model": self.model.pinned(fingerprints, folder)})
        if isinstance(self.rubric, RubricFile):
            file = str(folder / self.rubric.file)
            if self.instructions_language == "item" and "{language}" not in file:
                raise DataError(
                    "`instructions_language: item` needs a rubric in each language: write {language} in"
                    f" {self.rubric.file}"
                )
            here = here.model_copy(update={"rubric": RubricFile(file=file)})
        wanted = languages if self.instructions_language == "item" else ("en",)
        # every language, so that a missing text is reported at once
        filled = [here._in(language, fingerprints) for language in wanted]
        for aspect in filled[0].verdict_aspects():
            scales = {one.language: one.scale(aspect) for one in filled}
            if len(set(scales.values())) > 1:
                found = ", ".join(f"{language}: {scale_text(scale)}" for language, scale in scales.items())
                raise DataError(
                    f"the rubric's scale for `{aspect}` differs between languages ({found}): give each the"
                    " same number of levels"
                )
        return filled[0]

    def of_cell(self, cell: CellNames, fingerprints: Fingerprints, folder: Path) -> Self:
        return self._in(cell.language, fingerprints) if self.instructions_language == "item" else self

    def chosen(self) -> dict[str, Aspect]:
        """The aspects to judge, with their texts."""
        return self._text().chosen(self.aspects)

    def asked(self) -> Mapping[str, Aspect | OwnQuestion]:
        """The same by their names in verdicts."""
        return self.chosen()

    def verdict_aspects(self) -> tuple[str, ...]:
        return tuple(self.asked())

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> Scale | None:
        asked = self.asked().get(aspect)
        return None if asked is None else (1.0, float(len(asked.levels))) if asked.levels else (0.0, 1.0)

    def condition(self, aspect: str) -> Condition:
        """The items that an aspect is judged on."""
        return self.when.get(aspect, self._text().when.get(aspect, {}))

    def _in(self, language: Language, fingerprints: Fingerprints) -> Self:
        """With the texts of one language. Raises DataError where there are none."""
        here = self.model_copy(update={"language": language})
        if isinstance(here.rubric, RubricFile):
            found = load_rubric(here._path(), fingerprints.file(here._path()))
            levels = {name: len(aspect.levels) for name, aspect in found.aspects.items()}
            own = RubricFile(file=here.rubric.file, sha256=value_sha256(found), levels=levels)
            here = here.model_copy(update={"rubric": own})
        judge_prompts(language)
        here._check()
        texts = [fingerprints.text("judges/judge_prompts", language)]
        if isinstance(here.rubric, str):
            texts.append(fingerprints.text("judges/rubrics", f"{here.rubric}/{language}"))
        return here.model_copy(update={"sha256": combined(*texts)})

    def _check(self) -> None:
        """Test whether the aspects that are named are in the rubric."""
        rubric = self._text()
        rubric.chosen(self.aspects)
        rubric.chosen(tuple(self.when))

    def _text(self) -> Rubric:
        return load_rubric(self._path(), self.rubric.sha256 if isinstance(self.rubric, RubricFile) else None)

    def _path(self) -> Path:
        if isinstance(self.rubric, RubricFile):
            return Path(self.rubric.file.replace("{language}", self.language))
        path = SHIPPED / self.rubric / f"{self.language}.yaml"
        if not path.is_file():
            known = sorted(path.stem for path in path.parent.glob("*.yaml"))
            raise DataError(
                f"the rubric {self.rubric} has no text in `{self.language}`. There are: {', '.join(known)}"
            )
        return path


@cache
def load_rubric(path: Path, sha256: Sha256 | None = None) -> Rubric:
    """Read a rubric file; `sha256` is of what the plan found it to hold, or of its bytes.

    Raises:
        DataError: the file cannot be read, is no rubric, or is no longer the one that was planned; what is
            wrong is reported with its line.
    """
    found = read_value(path, Rubric, "a rubric")
    if sha256 is not None and sha256 not in (value_sha256(found), file_sha256(path)):
        raise DataError(f"{path} has changed since the study was planned. Plan it again")
    return found


@cache
def shipped() -> tuple[str, ...]:
    """The rubrics that ship with xp."""
    return tuple(sorted(path.name for path in SHIPPED.iterdir() if (path / "en.yaml").is_file()))
