"""Settings of the `code` judge."""

from typing import ClassVar, Literal

from pydantic import Field

from dsl.judges.contract import JudgeSettings, Role


class Settings(JudgeSettings):
    """0 where the completion holds code nobody asked for, 1 where it holds none. Items that ask for code stay
    unscored."""

    ROLE: ClassVar[Role] = "critical_error"
    LABEL: ClassVar[str] = "code where none was asked"
    judge: Literal["code"] = "code"
    min_lines: int = Field(3, ge=1)
    """Lines that look like code, from which on a text holds code."""
    min_share: float = Field(0.4, gt=0, le=1)
    """Or: the share of the text's characters in lines that look like code. A block fenced as a programming
    language counts by itself."""
    coding_categories: tuple[str, ...] = ("coding", "code", "programming")
    """Categories of items in which code is what was asked for."""
