"""`contains`: is one of the item's accepted answers in the answer? As whole words, whatever their case, accents and punctuation."""

from typing import ClassVar, Literal

from dsl.settings import JudgeSettings


class Settings(JudgeSettings):
    """1 where an accepted answer is found in the completion, 0 where none is. Items without accepted answers stay unscored."""

    VERSION: ClassVar[int] = 1
    judge: Literal["contains"] = "contains"
