"""Settings of the `echo` engine."""

from typing import Literal

from pydantic import Field

from dsl.engines.contract import EngineSettings


class Settings(EngineSettings):
    """`{engine: echo}`."""

    engine: Literal["echo"] = "echo"
    seconds_per_row: float = Field(0.0, ge=0)
    """Duration of an answer, for watching a run or interrupting it."""
