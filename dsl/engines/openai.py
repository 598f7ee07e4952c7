"""Settings of the `openai` engine."""

from typing import ClassVar, Literal

from pydantic import Field

from dsl.engines._prices import Price
from dsl.engines.contract import ServerSettings

OPENAI = "https://api.openai.com/v1"
"""Default address."""
SHARE_IN_BATCH = 0.5
"""Part of a request's price that it costs in a batch."""


class Settings(ServerSettings):
    """A served model. The key is named by its environment variable and never held."""

    DEFAULT_URL: ClassVar[str] = OPENAI
    engine: Literal["openai"] = "openai"
    usd_per_million_new_tokens: float | None = Field(None, ge=0)
    batch: bool = False
    """Leave the requests at the provider's batch API: half of the price, answers within a day. `xp apply`
    submits them and ends, and a later one fetches what is answered. Not part of the identity: the requests
    are the same."""

    def price(self) -> Price | None:
        price = super().price()
        if price is None or not self.batch:
            return price
        return Price(price.prompt * SHARE_IN_BATCH, price.new * SHARE_IN_BATCH)

    def affinity(self) -> str:
        return ""

    def _usd_per_million_new_tokens(self) -> float | None:
        return self.usd_per_million_new_tokens
