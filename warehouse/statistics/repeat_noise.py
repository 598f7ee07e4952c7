"""Variance of a judge's scores when it is asked the same question again."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.statements import fetch

QUERY = Path(__file__).with_suffix(".sql")


@dataclass(frozen=True, slots=True)
class RepeatNoise:
    """Variance of a judge's scores of the same answer, the mean over answers."""

    variance: float
    repeats: int
    """Number of times that each question was asked."""


def repeat_noise(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], RepeatNoise]:
    """Return the noise of each study's judges that repeat their question."""
    return {
        (row["experiment"], row["judge"]): RepeatNoise(row["variance"], row["repeats"])
        for row in fetch(connection, QUERY.read_text("utf-8"))
    }
