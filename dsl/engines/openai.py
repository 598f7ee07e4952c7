"""Settings of the `openai` engine."""

from typing import ClassVar, Literal

from pydantic import Field

from dsl.engines.contract import ServerSettings

OPENAI = "https://api.openai.com/v1"
"""Default address."""


class Settings(ServerSettings):
    """A served model. The key is named by its environment variable and never held."""

    DEFAULT_URL: ClassVar[str] = OPENAI
    engine: Literal["openai"] = "openai"
    usd_per_million_new_tokens: float | None = Field(None, ge=0)

    def affinity(self) -> str:
        return ""

    def _usd_per_million_new_tokens(self) -> float | None:
        return self.usd_per_million_new_tokens
