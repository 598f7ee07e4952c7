"""Settings of the `exact` judge."""

from typing import ClassVar, Literal

from dsl.judges.contract import RightOrWrong


class Settings(RightOrWrong):
    """1 where the completion is an accepted answer, 0 where it is not. Items without accepted answers get no
    verdict."""

    LABEL: ClassVar[str] = "is an accepted answer"
    CHECKED_AGAINST: ClassVar[Literal["answers", "instructions"] | None] = "answers"
    NEEDS: ClassVar[tuple[str, ...]] = ("answers",)
    judge: Literal["exact"] = "exact"
