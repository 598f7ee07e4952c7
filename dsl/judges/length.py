"""Settings of the `length` judge."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from dsl.judges.contract import JudgeSettings, Role
from dsl.values import Name


class Settings(JudgeSettings):
    """The completion's number of characters (Unicode code points after NFC, so that an accented letter is
    one)."""

    ROLE: ClassVar[Role] = "measure"
    LABEL: ClassVar[str] = "characters in the answer"
    judge: Literal["length"] = "length"

    def scale(self, aspect: str, judges: Mapping[Name, JudgeSettings] | None = None) -> None:
        return None
