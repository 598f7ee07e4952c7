"""Settings of the `numeric` judge."""

from typing import ClassVar, Literal

from dsl.judges.contract import RightOrWrong
from dsl.values import Language


class Settings(RightOrWrong):
    """1 where the last number of the completion equals an accepted answer, 0 where it does not or there is no
    number. Items whose accepted answers hold no number get no verdict."""

    LABEL: ClassVar[str] = "right number"
    CHECKED_AGAINST: ClassVar[Literal["answers", "instructions"] | None] = "answers"
    NEEDS: ClassVar[tuple[str, ...]] = ("answers",)
    judge: Literal["numeric"] = "numeric"
    answers_language: Language | None = "en"
    """The language in whose number format the accepted answers are written: MGSM writes `2,125` in every
    language. null is the item's own language."""
