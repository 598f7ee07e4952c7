"""Settings of the `prompt_echo` judge."""

from typing import ClassVar, Literal

from pydantic import Field

from dsl.judges.contract import JudgeSettings, Role


class Settings(JudgeSettings):
    """0 where the completion goes on with an invented query or is the question again, 1 where neither. Where
    turns of a conversation or questions were asked for, and are there, it stays unscored."""

    ROLE: ClassVar[Role] = "critical_error"
    LABEL: ClassVar[str] = "the question again, or an invented one"
    judge: Literal["prompt_echo"] = "prompt_echo"
    min_run: int = Field(4, ge=2)
    """Words in a row that also stand in the question in a row, from which on they count as copied."""
    max_own_words: float = Field(0.1, ge=0, lt=1)
    """Share of the completion's words outside copies, up to which it counts as the question again. A last
    word of its own is an answer."""
