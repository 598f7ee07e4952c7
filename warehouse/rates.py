"""Cost of finished steps, for estimates of steps to come."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a plan that has nothing to read of a warehouse does without it
    import duckdb

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class StepCost:
    """Seconds, tokens and memory of one finished step, and what they depend on."""

    kind: str
    model: str | None
    """Name of its weights, or what its server calls it; None where rules decide."""
    engine: str
    dtype: str
    device: str
    seconds: float
    """Without starting the process and loading the model."""
    overhead_seconds: float
    """Those two."""
    n_rows: int
    n_made: int
    """Rows that were not reused."""
    n_parameters: int | None
    peak_memory_bytes: int | None
    prompt_tokens: int
    new_tokens: int
    """Tokens of all rows, reused ones too."""
    shared_tokens_of_each: float
    """Tokens of each prompt that the prefix cache held."""
    most_new_tokens: int
    form: str
    """Form of its prompts: `text` or `chat`."""
    data_tokens: float
    data_rows: float
    """Rows that a training read once, and their tokens."""
    train_steps: int
    rows_per_train_step: int
    trains_all_weights: bool


def step_costs(connection: "duckdb.DuckDBPyConnection") -> list[StepCost]:
    """Return the cost of finished steps, of a kind and model at most 500."""
    from warehouse.statements import fetch

    return [StepCost(**row) for row in fetch(connection, (HERE / "rates.sql").read_text("utf-8"))]


def bytes_per_token(connection: "duckdb.DuckDBPyConnection") -> dict[str, float]:
    """Return, by the name of a model, UTF-8 bytes of a prompt's token."""
    from warehouse.statements import fetch

    found = fetch(connection, (HERE / "prompt_bytes.sql").read_text("utf-8"))
    return {row["model"]: row["n_bytes"] / row["n_tokens"] for row in found}


@dataclass(frozen=True, slots=True)
class StepUsage:
    """Tokens and dollars of one finished step, those of reused rows included."""

    tokens: int
    usd: float


def step_usage(connection: "duckdb.DuckDBPyConnection") -> dict[str, StepUsage]:
    """Return the tokens and dollars of every finished step that answers or judges."""
    from warehouse.statements import fetch

    found = fetch(
        connection,
        """
        select
            step_id,
            (coalesce(n_prompt_tokens, 0) + coalesce(n_new_tokens, 0))::bigint as tokens,
            coalesce(usd, 0) as usd
        from step_usage
        """,
    )
    return {row["step_id"]: StepUsage(row["tokens"], row["usd"]) for row in found}
