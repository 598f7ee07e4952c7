"""What a judge is told around a rubric, by language: `runners/judges/judge_prompts/<language>.yaml`."""

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


class Frame(Value):
    """A language's texts."""

    language: Language
    system: Sentence
    instruction: Sentence
    """How the material is called: what was asked, …"""
    reference: Sentence
    """… an answer known to be good, …"""
    answer: Sentence
    """… and the answer that is judged."""
    end: Sentence
    """Stands before the name of a piece of material where it ends."""
    judge: Sentence
    reply: Sentence
    reason: Sentence
    """What stands for a reason in the form of the reply."""
    score: Sentence
    """What stands for a score there; `{lowest}` and `{highest}` are put in."""


@cache
def frame(language: Language) -> Frame:
    """A language's texts.

    Raises:
        DataError: there are none in this language.
    """
    if language not in languages():
        raise DataError(f"judges have no instructions in `{language}`. There are: {', '.join(languages())}")
    return read_value(FOLDER / f"{language}.yaml", Frame, "texts for a judge")


@cache
def languages() -> tuple[Language, ...]:
    """The languages that judges can be instructed in."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def read_value(path: Path, cls: type[Read], called: str) -> Read:
    """A YAML file as a value; `called` says in errors what it should be.

    Raises:
        DataError: it cannot be read, or something in it is wrong; every problem is told with its line and
            column.
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
