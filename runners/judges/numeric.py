"""`numeric`: is the last number of the answer the item's number (MGSM, arXiv 2210.03057)? Numbers are read as the language writes them."""

from typing import ClassVar, Literal

from dsl.settings import JudgeSettings
from dsl.values import Language


class Settings(JudgeSettings):
    """1 where the last number of the completion equals an accepted answer, 0 where it does not or there is no number."""

    VERSION: ClassVar[int] = 1
    judge: Literal["numeric"] = "numeric"
    answers_language: Language | None = "en"
    """Whose number format the accepted answers are written in: MGSM writes `2,125` in every language. null is the item's own language."""
