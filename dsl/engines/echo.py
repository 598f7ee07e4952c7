"""Settings of the `echo` engine."""

from typing import Literal

from pydantic import Field

from dsl.engines.contract import EngineSettings


class Settings(EngineSettings):
    """`{engine: echo}`."""

    engine: Literal["echo"] = "echo"
    seconds_per_row: float = Field(0.0, ge=0)
    """How long an answer takes, for watching a run and for stopping it half-way."""
