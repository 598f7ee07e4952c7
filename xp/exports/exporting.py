"""`xp export`: a study's results in a form of another tool."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from dsl.errors import ArgumentError
from dsl.messages import suggest
from warehouse.connect import connect
from warehouse.statements import fetch
from xp.output_files import filled

ExportFormat = Literal["inspect", "every-eval-ever", "parquet"]


class Writer(Protocol):
    """A module of `xp.exports`."""

    def write(self, warehouse: Path, experiment: str, out: Path) -> Iterator[tuple[Path, str]]:
        """Write files below a folder, and yield each with what it holds, in words."""
        ...


@dataclass(frozen=True)
class Exported:
    """Files with what each holds, in words."""

    files: tuple[tuple[Path, str], ...]
    n_without: int
    """Cells of the study that have no answers yet."""


def export_results(format: ExportFormat, warehouse: Path, experiment: str, out: Path) -> Exported:
    """Write a study's results into an empty folder.

    Raises:
        ArgumentError: the folder holds something, or the warehouse has no answers of such a study.
        OutputError: the folder cannot be written to.
    """
    n_without = _n_without_answers(warehouse, experiment)
    writer = cast(Writer, importlib.import_module(f"xp.exports.{format.replace('-', '_')}"))
    with filled(out, ": --out DIR"):
        return Exported(tuple(writer.write(warehouse, experiment, out)), n_without)


def _n_without_answers(warehouse: Path, experiment: str) -> int:
    with connect(warehouse, read_only=True) as connection:
        known = [row["experiment"] for row in fetch(connection, "from experiments order by experiment")]
        cells = fetch(connection, "from cells where experiment = ? and not is_replicate", [experiment])
        done = {row["step_id"] for row in fetch(connection, "from steps where kind = 'generate'")}
    if experiment not in known:
        raise ArgumentError(f"the warehouse has no study `{experiment}`. {suggest(experiment, known)}")
    n_without = sum(cell["generate_step_id"] not in done for cell in cells)
    if n_without == len(cells):
        raise ArgumentError(f"`{experiment}` has no answers yet. `xp apply` makes them")
    return n_without
