"""Prompts of model judges around a rubric, by language: `runners/judges/judge_prompts/<language>.yaml`."""

from functools import cache
from typing import Annotated

from pydantic import Field

from dsl.data.fingerprints import RUNNERS
from dsl.data.yaml_values import read_value
from dsl.errors import DataError
from dsl.values import Language, Value

FOLDER = RUNNERS / "judges" / "judge_prompts"

Sentence = Annotated[str, Field(min_length=1)]


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
