"""Check that rows are in the language that they are read for, as the `language` judge identifies it."""

from collections import Counter
from collections.abc import Iterable, Iterator

from dsl.checks.load import Sample
from dsl.data.records import Example
from dsl.judges.language import Settings
from dsl.messages import listed
from dsl.values import Language, Name
from runners.judges.language import base_of, identify

MANY = 0.25
"""Share of the rows with a language, from which on those of another one are worth a warning: single rows may
ask for a translation, and short ones are mistaken."""


def other_languages(samples: Iterable[Sample], languages: tuple[Language, ...]) -> Iterator[tuple[Name, str]]:
    """Yield (data set, warning) where many rows are in another language than they are read for.

    Args:
        languages: The study's.
    """
    settings = Settings.model_validate({"languages": languages})
    for sample in samples:
        if (why := _why(sample, settings)) is not None:
            yield sample.dataset, why


def _why(sample: Sample, settings: Settings) -> str | None:
    found = {row.item: identify(_text(row), sample.language, settings)[0] for row in sample.rows}
    told = {item: language for item, language in found.items() if language is not None}
    others = {item: language for item, language in told.items() if language != base_of(sample.language)}
    if not others or len(others) < MANY * len(told):
        return None
    counts = ", ".join(f"{language} {n}" for language, n in Counter(others.values()).most_common(5))
    return (
        f"{len(others)} of {len(told)} rows looked at that are read as `{sample.language}` look like another"
        f" language ({counts}): {listed(others, most=5)}. Do the path and the column `language` name the"
        " right rows?"
    )


def _text(row: Example) -> str:
    before = (turn.content for turn in row.turns if turn.role != "system")
    return "\n".join([*before, *filter(None, (row.instruction, row.response, row.chosen))])
