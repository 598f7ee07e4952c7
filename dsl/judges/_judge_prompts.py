"""Prompts of model judges around a rubric, by language: `runners/judges/judge_prompts/<language>.yaml`."""

from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from dsl.data.fingerprints import RUNNERS
from dsl.data.regular_files import begins_as, read_regular
from dsl.errors import DataError, SpecError
from dsl.values import Language, Value
from dsl.yaml.document import read_yaml
from dsl.yaml.validation_errors import explain

FOLDER = RUNNERS / "judges" / "judge_prompts"

Sentence = Annotated[str, Field(min_length=1)]
Read = TypeVar("Read", bound=Value)


class JudgePrompts(Value):
    """One language's texts."""

    language: Language
    system: Sentence
    instruction: Sentence
    """Name of what was asked."""
    reference: Sentence
    """Name of the reference answer."""
    answer: Sentence
    """Name of the answer that is judged."""
    end: Sentence
    """Word before one of these names in the closing tag of its text."""
    judge: Sentence
    reply: Sentence
    reason: Sentence
    """Placeholder for the reason in the reply's JSON."""
    score: Sentence
    """Placeholder for the score there; `{lowest}` and `{highest}` are filled in."""


@cache
def judge_prompts(language: Language) -> JudgePrompts:
    """Return a language's texts.

    Raises:
        DataError: there are none in this language.
    """
    if language not in languages():
        raise DataError(f"judges have no instructions in `{language}`. There are: {', '.join(languages())}")
    return read_value(FOLDER / f"{language}.yaml", JudgePrompts, "texts for a judge")


@cache
def languages() -> tuple[Language, ...]:
    """Languages that have judge prompts."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def read_value(path: Path, cls: type[Read], called: str) -> Read:
    """Read a YAML file as a value; `called` names in errors what it should be.

    Raises:
        DataError: it cannot be read or is invalid; every problem with its line and column.
    """
    content = read_regular(path).decode("utf-8", "replace")
    if not begins_as(content, cls.model_fields):
        raise DataError(f"{path}: not {called}: it has none of the keys {', '.join(cls.model_fields)}")
    try:
        document = read_yaml(path)
        try:
            return cls.model_validate(document.data)
        except ValidationError as error:
            raise SpecError(explain(error, document, model=cls)) from error
    except SpecError as error:
        raise DataError(f"not {called}: {'; '.join(map(str, error.problems))}") from error
