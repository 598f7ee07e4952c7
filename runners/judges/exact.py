"""`exact`: is the answer one of the item's accepted answers, and nothing else? Whatever their case, accents and punctuation."""

from typing import ClassVar, Literal

from dsl.settings import JudgeSettings


class Settings(JudgeSettings):
    """1 where the completion is an accepted answer, 0 where it is not. Items without accepted answers stay unscored."""

    VERSION: ClassVar[int] = 1
    judge: Literal["exact"] = "exact"
