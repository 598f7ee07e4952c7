"""A language's prompt text: the form of `runners/prompting/prompt_texts/<language>.yaml` and of someone's own
file."""

from functools import cache
from pathlib import Path

from pydantic import Field, ValidationError

from dsl.data.regular_files import read_regular
from dsl.errors import DataError, SpecError
from dsl.values import Language, Value
from dsl.yaml.document import parse_yaml


class Demonstration(Value):
    """A worked example."""

    query: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class PromptTemplate(Value):
    """A language's prompt text, as its YAML file holds it."""

    language: Language
    query_tag: str = Field(min_length=1)
    answer_tag: str = Field(min_length=1)
    stop_strings: tuple[str, ...]
    preamble: str = ""
    demonstrations: tuple[Demonstration, ...] = ()
    system: str | None = Field(default=None, min_length=1)


def read_prompt_text(path: Path) -> PromptTemplate:
    """Read a prompt text. Raises DataError where the file cannot be read or holds none."""
    try:
        return parse_prompt_text(read_regular(path).decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8: {error}") from error


@cache
def parse_prompt_text(content: str, path: Path) -> PromptTemplate:
    """The prompt text in a file's content, which the checks of a spec have read with places. Each content is
    read once in a process: every step of a study names one of few.

    Raises:
        DataError: it is not a prompt text.
    """
    try:
        return PromptTemplate.model_validate(parse_yaml(content, str(path)).data)
    except (SpecError, ValidationError) as error:
        raise DataError(f"{path}: not a prompt text. `xp validate` says where") from error
