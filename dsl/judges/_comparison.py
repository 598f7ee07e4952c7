"""Texts for judges that compare two answers, by language: `runners/judges/comparisons/<language>.yaml`."""

from functools import cache

from dsl.data.fingerprints import RUNNERS
from dsl.data.yaml_values import read_value
from dsl.errors import DataError
from dsl.judges._judge_prompts import Sentence
from dsl.values import Language, Value

FOLDER = RUNNERS / "judges" / "comparisons"


class Comparison(Value):
    """A language's texts for comparisons, beside its `JudgePrompts`."""

    language: Language
    compare: Sentence
    better: Sentence
    """The sign of the better answer in the form of a reply …"""
    better_of_two: Sentence
    """… and where a tie is not asked for."""
    question: Sentence
    """Put to a model that decides; `{question}` is the aspect's."""
    first_answer: Sentence
    second_answer: Sentence
    first: Sentence
    """The meaning of each outcome."""
    second: Sentence
    tie: Sentence


@cache
def comparison(language: Language) -> Comparison:
    """A language's texts.

    Raises:
        DataError: there are none in this language.
    """
    path = FOLDER / f"{language}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
        raise DataError(f"judges that compare have no instructions in `{language}`. There are: {known}")
    return read_value(path, Comparison, "texts for a judge that compares")
