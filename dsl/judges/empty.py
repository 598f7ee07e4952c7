"""Settings of the `empty` judge."""

from typing import ClassVar, Literal

from dsl.judges.contract import JudgeSettings, Role


class Settings(JudgeSettings):
    """1 where the completion holds a letter, a digit or a pictogram; 0 where it is nothing but white space
    and punctuation."""

    ROLE: ClassVar[Role] = "critical_error"
    LABEL: ClassVar[str] = "no answer"
    judge: Literal["empty"] = "empty"
