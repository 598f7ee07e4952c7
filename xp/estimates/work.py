"""Countable work of a step, whether planned or finished."""

from dataclasses import dataclass, field, replace

from dsl.engines.contract import EngineSettings


@dataclass(frozen=True, slots=True)
class Work:
    """Countable work of one step."""

    kind: str
    model: EngineSettings | None = None
    """The model that is asked or trained; None where rules decide."""
    n_rows: int = 0
    n_requests: int = 0
    """Prompts that a model is handed."""
    prompt_tokens: float = 0.0
    shared_tokens: float = 0.0
    """Those of them that are computed once for all, by the prefix cache of weights that are loaded here."""
    new_tokens: float = 0.0
    most_new_tokens: int = 0
    """Longest reply that is allowed, each."""
    longest: float = 0.0
    """Tokens of the longest sequence."""
    train_steps: int = 0
    trained_tokens: float = 0.0
    """Tokens of all optimiser steps together."""
    forward_tokens: float = 0.0
    """Those that a training only evaluates."""
    rows_at_once: int = 0
    """Sequences of one batch in training."""
    trains_all_weights: bool = False

    def part(self, share: float) -> "Work":
        """Return the work of so many of its rows, from 0 to 1."""
        if share == 1:
            return self
        return replace(
            self,
            n_rows=round(share * self.n_rows),
            n_requests=round(share * self.n_requests),
            prompt_tokens=share * self.prompt_tokens,
            shared_tokens=share * self.shared_tokens,
            new_tokens=share * self.new_tokens,
        )

    @property
    def computed_tokens(self) -> float:
        """Tokens that a model computes, in forward passes: a training pass is three, or two where most
        weights are frozen, since these need no gradients."""
        forward = self.prompt_tokens - self.shared_tokens + self.new_tokens + self.forward_tokens
        return max(0.0, forward) + self.trained_tokens * (3 if self.trains_all_weights else 2)


@dataclass(frozen=True)
class TokenRates:
    """Ratios by which texts are counted in tokens, by the name of a model."""

    bytes_per_token: dict[str, float] = field(default_factory=dict[str, float])
    reply_share: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    """Model and form of its prompt (`text`, `chat`) -> part of `max_new_tokens` that its answers have."""
    reply_tokens: dict[str, float] = field(default_factory=dict[str, float])
    """Judging model -> new tokens of one verdict."""


def name_of(model: EngineSettings) -> str:
    """Name under which rates of a model are kept: its weights, or what its server calls it."""
    named = (getattr(model, field, None) for field in ("name", "hub", "package", "path"))
    return next((str(found) for found in named if found), model.engine)
