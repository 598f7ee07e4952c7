"""A language's prompt text: the form of `runners/prompting/prompt_texts/<language>.yaml` and of someone's own
file."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from dsl.data.regular_files import begins_as
from dsl.errors import DataError
from dsl.values import Language, Value


class Demonstration(Value):
    """A worked example."""

    query: str
    answer: str


class PromptTemplate(Value):
    """A language's prompt text, as its YAML file holds it."""

    language: Language
    query_tag: str = Field(min_length=1)
    answer_tag: str = Field(min_length=1)
    stop_strings: tuple[str, ...]
    preamble: str = ""
    demonstrations: tuple[Demonstration, ...] = ()
    system: str | None = None


def parse_prompt_text(content: str, path: Path) -> PromptTemplate:
    """The prompt text in a file's content.

    Raises:
        DataError: it is not a prompt text; the message says which keys are wrong.
    """
    try:
        return PromptTemplate.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        mark: yaml.Mark | None = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DataError(f"{path}: not a prompt text: it is not YAML{where}") from error
    except ValidationError as error:
        if not begins_as(content, PromptTemplate.model_fields):
            raise DataError(
                f"{path}: not a prompt text: it has none of the keys {', '.join(PromptTemplate.model_fields)}"
            ) from error
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()
        )
        raise DataError(f"{path}: not a prompt text: {wrong}") from error
