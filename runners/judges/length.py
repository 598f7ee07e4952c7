"""`length`: how long is the answer? A measure, not a mark: it stands beside every score, because longer answers tend to win."""

from typing import ClassVar, Literal

from dsl.settings import JudgeSettings


class Settings(JudgeSettings):
    """The completion's number of characters (Unicode code points after NFC, so that an accented letter is one)."""

    VERSION: ClassVar[int] = 1
    judge: Literal["length"] = "length"
