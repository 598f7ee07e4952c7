"""`empty`: did the model say anything at all?"""

from typing import ClassVar, Literal

from dsl.settings import JudgeSettings


class Settings(JudgeSettings):
    """1 where the completion holds a letter, a digit or a pictogram; 0 where it is nothing but white space and punctuation."""

    VERSION: ClassVar[int] = 1
    judge: Literal["empty"] = "empty"
