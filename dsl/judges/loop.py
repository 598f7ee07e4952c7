"""Settings of the `loop` judge."""

from typing import ClassVar, Literal

from pydantic import Field

from dsl.judges.contract import JudgeSettings, Role


class Settings(JudgeSettings):
    """0 where the completion loops, 1 where it does not. What counts as a loop is stated by the thresholds;
    one sign is enough."""

    ROLE: ClassVar[Role] = "critical_error"
    LABEL: ClassVar[str] = "repeats itself without end"
    judge: Literal["loop"] = "loop"
    min_repeats: int = Field(3, ge=2)
    """The text ends in a unit (a letter, a word, a paragraph) written at least so many times in a row …"""
    min_characters: int = Field(40, ge=1)
    """… which are at least so many characters together. A completion that is one unit's repetitions and
    nothing else needs no length."""
    min_symbols: int = Field(200, ge=1)
    """… or this long, where the unit holds no letter or digit: a ruled line is no loop."""
    min_counted_repeats: int = Field(10, ge=2)
    """The same where a number counts on in each repetition (`Step 41: … Step 42: …`): a plan for a week is no
    loop."""
    max_repeated_words: float = Field(0.5, gt=0, le=1)
    """Share of the word trigrams that may be among those said `min_repeats` times or more, in the whole text
    and in its last words."""
    last_words: int = Field(100, ge=3)
    """Number of words in the end of a text, where it is looked at by itself."""
    max_compression_ratio: float = Field(8.0, gt=1)
    """Characters of the text over its bytes after zlib, from 1,000 characters on; prose lies between 1.7 and
    3."""
