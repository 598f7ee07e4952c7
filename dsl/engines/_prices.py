"""Prices of hosted models, as `prices.yaml` lists them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dsl.data.yaml_values import read_value
from dsl.values import Value

FILE = Path(__file__).parent / "prices.yaml"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    prompt: float
    new: float

    def usd(self, prompt_tokens: float, new_tokens: float) -> float:
        """Return the price of so many tokens."""
        return (self.prompt * prompt_tokens + self.new * new_tokens) / 1e6


class HostPrices(Value):
    """Prices of one host."""

    date: str
    """The month that they are of."""
    source: str
    usd_per_million_tokens: dict[str, tuple[float, float]]
    """Model -> those of prompts and of new tokens."""


class PriceList(Value):
    """The file."""

    hosts: dict[str, HostPrices]


@cache
def price_list() -> PriceList:
    """Return the price list that ships with xp."""
    return read_value(FILE, PriceList, "a price list")


def listed_price(host: str, name: str) -> Price | None:
    """Return the price of a model at a host; None where the list has none.

    A dated name, as `gpt-4o-2024-05-13`, has that of itself alone: it may cost more than the name without.
    """
    listed = price_list().hosts.get(host)
    found = None if listed is None else listed.usd_per_million_tokens.get(name)
    return None if found is None else Price(*found)
