"""`openai`: any server that speaks OpenAI's API (vLLM, llama.cpp, `transformers serve`, a hosted model)."""

from typing import Literal

from pydantic import Field

from dsl.settings import EngineSettings


class Settings(EngineSettings):
    """A served model. The key is named by its environment variable and never held."""

    engine: Literal["openai"] = "openai"
    name: str
    """The model, as the server calls it."""
    base_url: str | None = None
    """The server's address, as `http://localhost:8000/v1`."""
    base_url_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the address."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key."""
    max_concurrency: int = Field(8, ge=1, le=1024)
    """Requests in flight at once. Not part of the identity."""
    timeout: float = Field(120.0, gt=0)
    """Seconds one request may take. Not part of the identity."""
    max_retries: int = Field(6, ge=0)
    """Further tries after 429, 5xx and time-outs, with growing pauses. Not part of the identity."""
    usd_per_million_prompt_tokens: float | None = Field(None, ge=0)
    usd_per_million_new_tokens: float | None = Field(None, ge=0)

    def affinity(self) -> str:
        return ""
