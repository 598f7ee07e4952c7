"""Results of a study as they are handed to other tools: cells with their answers and verdicts.

Each `xp/exports/<format>.py` has `write`, which makes a folder of files from them. Text of models and judges
is data in each: it becomes a JSON string or a column, never markup, a path or a name.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from warehouse.connect import connect
from warehouse.statements import fetch

_MODEL_SETTINGS = ("engine", "hub", "package", "name", "revision", "dtype")
"""Settings of a model that say which one it is, and nothing of the machine."""


@dataclass(frozen=True)
class Answer:
    """One answer with the question and the verdicts on it: rows of the warehouse's views."""

    row: Mapping[str, Any]
    """Row of `shown_answers`."""
    verdicts: Sequence[Mapping[str, Any]]
    """Rows of `verdicts`."""


@dataclass(frozen=True)
class Cell:
    """One dataset, turn, language, model, method and seed, with all of its answers."""

    cell_id: str
    experiment: str
    dataset: str
    language: str
    model: str
    method: str
    train_languages: str
    turn: int | None
    seed: int | None
    num_parameters: int | None
    model_settings: Mapping[str, Any]
    decoding: Mapping[str, Any]
    version: str
    """Version of xp."""
    started_at: datetime
    """Start of the run that made its answers, UTC; 1970 where none is recorded."""
    answers: Sequence[Answer]
    scores: Sequence[Mapping[str, Any]]
    """Rows of `score_by_cell`, one for each measure."""

    @cached_property
    def coordinates(self) -> dict[str, str]:
        """Return all that tells it from other cells, as text."""
        found = {
            "experiment": self.experiment,
            "dataset": self.dataset,
            "language": self.language,
            "method": self.method,
            "train_languages": self.train_languages,
            "turn": "" if self.turn is None else str(self.turn),
            "seed": "" if self.seed is None else str(self.seed),
        }
        return {key: value for key, value in found.items() if value}

    @property
    def task(self) -> str:
        """Name of the questions: each turn's are others."""
        return self.dataset if self.turn is None else f"{self.dataset}_turn{self.turn}"

    def stem(self) -> str:
        """Return a name for its files, without its model."""
        parts = (self.task, self.language, self.method, self.train_languages)
        seed = "" if self.seed is None else f"seed{self.seed}"
        return "_".join(part for part in (*parts, seed) if part)


def cells_of(warehouse: Path, experiment: str) -> Iterator[Cell]:
    """Read the cells of a study that have answers, one after another."""
    with connect(warehouse, read_only=True) as connection:
        cells = fetch(
            connection, "from cells where experiment = ? and not is_replicate order by all", [experiment]
        )
        steps = {row["step_id"]: row for row in fetch(connection, "from steps where kind = 'generate'")}
        for row in cells:
            if row["generate_step_id"] in steps:
                yield _cell(connection, row, steps[row["generate_step_id"]])


def _cell(connection: duckdb.DuckDBPyConnection, row: Mapping[str, Any], step: Mapping[str, Any]) -> Cell:
    key = [row["cell_id"]]
    verdicts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for verdict in fetch(connection, "from verdicts where cell_id = ? order by item, measure", key):
        verdicts[verdict["item"]].append(verdict)
    answers = fetch(connection, "from shown_answers where cell_id = ? order by item", key)
    runs = fetch(connection, "from runs where step_id = ? order by started_at desc", [step["step_id"]])
    settings: dict[str, Any] = json.loads(step["settings"])
    model: dict[str, Any] = settings["model"]
    return Cell(
        **{name: row[name] for name in ("cell_id", "experiment", "dataset", "language", "model", "method")},
        train_languages=row["train_languages"],
        turn=row["turn"],
        seed=row["seed"],
        num_parameters=answers[0]["num_parameters"] if answers else None,
        model_settings={name: model[name] for name in _MODEL_SETTINGS if model.get(name)},
        decoding={} if model["engine"] == "recorded" else settings["decoding"],
        version=json.loads(step["versions"]).get("xp-lab", "unknown"),
        started_at=runs[0]["started_at"].replace(tzinfo=UTC) if runs else datetime.fromtimestamp(0, UTC),
        answers=[Answer(answer, verdicts[answer["item"]]) for answer in answers],
        scores=fetch(connection, "from score_by_cell where cell_id = ? order by measure", key),
    )
