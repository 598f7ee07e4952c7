"""`rubric`: a model judges each answer on the aspects of a rubric, from 1 to 5 (just-eval, arXiv 2312.01552).

A model that is served gives its reasons and scores as JSON, and what it wrote is kept. Weights that are loaded here answer through
transformers' decision pipeline: the probability of every level from one forward pass, so there is nothing to parse and nothing to misread.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from dsl.engines import EngineOrWeights
from dsl.errors import DataError
from dsl.models import Weights
from dsl.pins import Pins
from dsl.records import Verdict
from dsl.settings import JudgeSettings
from dsl.values import Language, Name, Sha256, Value
from runners.judges._local import judge_locally
from runners.judges._rubric import SHIPPED, Aspect, load_rubric, shipped
from runners.judges._served import judge_served
from runners.judging import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("text", "instruction", "reference")


class RubricFile(Value):
    """A study's own rubric."""

    file: str
    """A YAML file of the form of `runners/rubrics/just_eval.yaml`, relative to the spec."""
    sha256: Sha256 | None = Field(None, json_schema_extra={"readOnly": True})
    """Filled in by the plan."""


class Settings(JudgeSettings):
    """A score from 1 (worst) to 5 (best) for each aspect. Refusals, "N/A" and replies that cannot be read stay unscored."""

    VERSION: ClassVar[int] = 1
    judge: Literal["rubric"] = "rubric"
    rubric: Name | RubricFile = "just_eval"
    """A rubric that ships with xp, or `{file: …}`."""
    aspects: tuple[Name, ...] | None = Field(None, min_length=1)
    """The aspects to judge; without it, the rubric's default ones."""
    model: EngineOrWeights
    """Who judges: a served model (`engine: openai`), or weights loaded here."""
    together: bool = False
    """Served models: ask for all aspects in one request, as just-eval does. Cheaper, but a score then depends on the aspects asked beside
    it, so that another aspect asks for all of them again."""
    max_new_tokens: int = Field(1024, ge=16)
    """Served models: how long one reply may be."""
    sha256: Sha256 | None = Field(None, json_schema_extra={"readOnly": True})
    """Filled in by the plan: digest of a rubric that ships with xp."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if isinstance(self.rubric, str):
            if self.rubric not in shipped():
                raise ValueError(
                    f"no rubric `{self.rubric}` ships with xp. There are: {', '.join(shipped())}. Your own is named by `{{file: …}}`"
                )
            try:
                load_rubric(SHIPPED / f"{self.rubric}.yaml").chosen(self.aspects)
            except DataError as error:
                raise ValueError(str(error)) from error
        if self.model.engine == "recorded":
            raise ValueError("recorded answers cannot judge; name a served model or weights")
        return self

    def pinned(self, languages: tuple[Language, ...], pins: Pins, folder: Path) -> "Settings":
        model = self.model.pinned(pins, folder)
        if isinstance(self.rubric, str):
            return self.model_copy(update={"model": model, "sha256": pins.text("rubrics", self.rubric)})
        path = folder / self.rubric.file
        digest = pins.file(path)
        load_rubric(path).chosen(self.aspects)
        return self.model_copy(update={"model": model, "rubric": RubricFile(file=str(path), sha256=digest)})

    def affinity(self) -> str:
        return self.model.affinity()

    def unpinned(self) -> str | None:
        return self.model.unpinned()

    def chosen(self) -> dict[str, Aspect]:
        """The aspects to judge, with their texts."""
        path = Path(self.rubric.file) if isinstance(self.rubric, RubricFile) else SHIPPED / f"{self.rubric}.yaml"
        return load_rubric(path).chosen(self.aspects)


def aspects(settings: Settings) -> dict[str, object]:
    """What counts for an aspect's verdicts: the model and the aspect's own text, not what else is in the rubric."""
    chosen = settings.chosen()
    shared = ("rubric", Settings.VERSION, settings.model)
    if isinstance(settings.model, Weights):
        return {name: (*shared, name, aspect) for name, aspect in chosen.items()}
    beside = chosen if settings.together else {}
    return {name: (*shared, settings.max_new_tokens, name, aspect, beside) for name, aspect in chosen.items()}


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    if isinstance(settings.model, Weights):
        return judge_locally(list(answers), settings.model, settings.chosen(), tools)
    return judge_served(list(answers), settings.model, settings.chosen(), settings.together, settings.max_new_tokens, tools)
