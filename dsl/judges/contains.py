"""Settings of the `contains` judge."""

from typing import ClassVar, Literal

from dsl.judges.contract import RightOrWrong


class Settings(RightOrWrong):
    """1 where an accepted answer is found in the completion, 0 where none is. Items without accepted answers
    get no verdict."""

    LABEL: ClassVar[str] = "holds an accepted answer"
    CHECKED_AGAINST: ClassVar[Literal["answers", "instructions"] | None] = "answers"
    NEEDS: ClassVar[tuple[str, ...]] = ("answers",)
    judge: Literal["contains"] = "contains"
