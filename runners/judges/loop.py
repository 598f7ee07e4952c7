"""`loop`: did the model fall into an endless repetition?"""

from typing import ClassVar, Literal

from pydantic import Field

from dsl.settings import JudgeSettings


class Settings(JudgeSettings):
    """0 where the completion loops, 1 where it does not. What counts as a loop is stated by the thresholds; one sign is enough."""

    VERSION: ClassVar[int] = 1
    judge: Literal["loop"] = "loop"
    min_repeats: int = Field(3, ge=2)
    """The text ends in a unit (a letter, a word, a paragraph) written at least so many times in a row …"""
    min_characters: int = Field(60, ge=1)
    """… which are at least so many characters together. A completion that is one unit's repetitions and nothing else needs no length."""
    min_symbols: int = Field(200, ge=1)
    """The same for units without a letter or digit, so that a ruled line is no loop."""
    max_repeated_lines: float = Field(0.5, gt=0, le=1)
    """Share of the text's characters that may lie in lines said before (a refrain); judged from `min_repeats` copies of a line on."""
    max_compression_ratio: float = Field(6.0, gt=1)
    """Bytes of the text over its bytes after zlib, from 1,000 bytes on; prose lies between 1.7 and 3."""
