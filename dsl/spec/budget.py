"""Budget of a study: a limit on what its applies spend. It changes no result and no identity."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from dsl.values import Name, Value


class Budget(Value):
    """Limits on what all applies of a study spend together. Reused rows cost nothing."""

    HINTS: ClassVar = {
        "gpu_hours": "`device_hours` are GPU-hours, and the machine's hours where it has no GPU.",
        "prices": "Beside a served model's `name`: `usd_per_million_prompt_tokens` and"
        " `usd_per_million_new_tokens`.",
    }

    usd: float | None = Field(default=None, gt=0)
    """US dollars for served models, by the prices beside their names or those of the price list. Before a
    request is sent its highest price, an answer of `max_new_tokens`, must be left."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens that served models read and write, reserved before each request like its price."""
    device_hours: float | None = Field(default=None, gt=0)
    """Hours that steps with a loaded model take, for each GPU that they see; without a GPU, hours of their
    process. Overrun by one batch, or one optimiser step, at most."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.usd is None and self.tokens is None and self.device_hours is None:
            raise ValueError("a budget names at least one limit: `usd`, `tokens` or `device_hours`")
        return self


class Charge(Value):
    """Study that pays for steps, and its budget."""

    experiment: Name
    budget: Budget
    apply: str = ""
    """Name of the apply that they are made for."""


class Use(Value):
    """Money, tokens and device time, spent or reserved."""

    usd: float = 0.0
    tokens: int = 0
    device_seconds: float = 0.0

    def __add__(self, other: "Use") -> "Use":
        return Use(
            usd=self.usd + other.usd,
            tokens=self.tokens + other.tokens,
            device_seconds=self.device_seconds + other.device_seconds,
        )

    def __str__(self) -> str:
        parts = (
            f"{self.usd:.4g} USD" if self.usd else "",
            f"{self.tokens:,} tokens" if self.tokens else "",
            f"{self.device_seconds / 3600:.4g} device-hours" if self.device_seconds else "",
        )
        return ", ".join(filter(None, parts)) or "nothing"
