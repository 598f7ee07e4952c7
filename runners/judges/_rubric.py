"""Rubrics: aspects of an answer, each a question with five levels. They lie in `runners/rubrics/<name>.yaml` or in a study's own file."""

from functools import cache
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from dsl.errors import DataError
from dsl.values import Name, Value

SHIPPED = Path(__file__).resolve().parents[1] / "rubrics"
Sentence = Annotated[str, Field(min_length=1)]


class Aspect(Value):
    """One thing an answer is judged on."""

    question: Sentence
    levels: Annotated[tuple[Sentence, ...], Field(min_length=5, max_length=5)]
    """What an answer of each level is like, from 1 (worst) to 5 (best)."""


class Rubric(Value):
    """A rubric file."""

    default: tuple[Name, ...] = ()
    """The aspects judged where a study names none; without it, all."""
    aspects: Annotated[dict[Name, Aspect], Field(min_length=1)]

    @model_validator(mode="after")
    def _default_is_known(self) -> Self:
        if unknown := [name for name in self.default if name not in self.aspects]:
            raise ValueError(f"`default` names {', '.join(unknown)}, which is not among the aspects {', '.join(self.aspects)}")
        return self

    def chosen(self, names: tuple[Name, ...] | None) -> dict[Name, Aspect]:
        """The aspects named, or the default ones.

        Raises:
            DataError: a name is not in the rubric.
        """
        wanted = names or self.default or tuple(self.aspects)
        if unknown := [name for name in wanted if name not in self.aspects]:
            raise DataError(f"the rubric has no {', '.join(unknown)}. It has {', '.join(self.aspects)}")
        return {name: self.aspects[name] for name in wanted}


@cache
def load_rubric(path: Path) -> Rubric:
    """Read a rubric file.

    Raises:
        DataError: the file cannot be read or is no rubric.
    """
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise DataError(f"{path}: not a rubric: {error}") from error


def shipped() -> tuple[str, ...]:
    """The rubrics that ship with xp."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))
