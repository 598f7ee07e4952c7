"""Settings of the `truncated` judge."""

from typing import ClassVar, Literal

from pydantic import Field

from dsl.judges.contract import JudgeSettings, Role


class Settings(JudgeSettings):
    """0 where the completion was cut, 1 where it came to its end. Without a finish reason the text's end
    decides; a doubtful end is unscored."""

    ROLE: ClassVar[Role] = "detector"
    LABEL: ClassVar[str] = "cut before its end"
    judge: Literal["truncated"] = "truncated"
    min_words: int = Field(6, ge=1)
    """Words below which a last line without a closing mark may be a title, a name or a number: the judge
    abstains."""
