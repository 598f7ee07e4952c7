"""Compares two warehouses: a store's with the one that its files give, or what two studies found."""

import contextlib
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from dsl.data.warehouse_address import WAREHOUSE, warehouse_in
from warehouse.connect import attach, connect
from warehouse.errors import duckdb_errors
from warehouse.load import make_warehouse
from warehouse.statements import HERE, fetch

DECIMALS = 6
"""Digits by which computed numbers are compared. DuckDB adds in parallel, in whatever order: last digits
differ, and a standard error of 0 is the root of what rounding leaves, up to 1e-8."""

_STATE = {"made_from", "stale_slices"}
"""Tables about the warehouse itself."""


def differences(store: Path) -> tuple[str, ...]:
    """List the tables of a store's warehouse, statistics included, that differ from its files, in sentences.

    Empty where there is no warehouse.

    Raises:
        WarehouseError: the warehouse cannot be read, or no other can be made beside it.
    """
    held = warehouse_in(store)
    if not held.exists():
        return ()
    with tempfile.TemporaryDirectory(dir=store, prefix="verify-") as folder:
        fresh = Path(folder) / WAREHOUSE
        notes = make_warehouse(store, fresh)
        with _attached(held=held, fresh=fresh) as connection:
            asked = (
                "select table_name from duckdb_tables() where database_name = 'fresh' and not internal order"
                " by all"
            )
            tables = [name for (name,) in connection.execute(asked).fetchall() if name not in _STATE]
            unlike = [name for name in tables if n_unlike(connection, name)]
    return (
        *notes,
        *(
            f"{held}: the table {name} is not as the files give it. `xp rebuild` makes it again."
            for name in unlike
        ),
    )


def n_unlike(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Return the number of rows of a table that one of `held` and `fresh` has and the other has not."""
    described = connection.execute(f'describe held."{table}"').fetchall()
    columns = ", ".join(
        f'round("{name}", {DECIMALS})' if kind == "DOUBLE" else f'"{name}"' for name, kind, *_ in described
    )
    sql = " union all ".join(
        f'(select {columns} from {one}."{table}" except all select {columns} from {other}."{table}")'
        for one, other in (("held", "fresh"), ("fresh", "held"))
    )
    ((n,),) = connection.execute(f"select count(*) from ({sql})").fetchall()
    return int(n)


@dataclass(frozen=True, slots=True)
class Found:
    """A study in a warehouse file."""

    warehouse: Path
    experiment: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of two studies in one place: dataset, language, model, method, languages tuned on."""

    dataset: str
    language: str
    model: str
    method: str
    train_languages: str
    n_alike: int
    n_unlike: int
    n_other_prompts: int
    """Those of the unlike ones whose prompts differ too."""
    n_only_old: int
    n_only_new: int
    items: list[str]
    """The first whose answers differ."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean score with its 95% interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Means:
    """A measure's means of two studies in one place, which differ."""

    dataset: str
    language: str
    model: str
    method: str
    train_languages: str
    measure: str
    old: Mean
    new: Mean
    difference: Mean
    """New minus old over the items that both scored, with the interval of the sign-flip test, uncorrected."""


def studies_compared(old: Found, new: Found) -> tuple[tuple[Answers, ...], tuple[Means, ...]]:
    """Return how far the answers of two studies agree in each place, and the means that differ.

    Raises:
        WarehouseError: one of the warehouses cannot be read.
    """
    for path in (old.warehouse, new.warehouse):
        connect(path, read_only=True).close()  # brings views of another version up to date
    names = {"old": old.experiment, "new": new.experiment}
    with _attached(old=old.warehouse, new=new.warehouse) as connection:
        answers = fetch(connection, (HERE / "compare_answers.sql").read_text("utf-8"), names)
        means_sql = (HERE / "compare_means.sql").read_text("utf-8")
        means = fetch(connection, means_sql, {**names, "decimals": DECIMALS})
    return tuple(Answers(**row) for row in answers), tuple(map(_means, means))


def _means(row: dict[str, Any]) -> Means:
    import numpy as np  # with scipy in `contrast`, which a store's verification does not need

    from warehouse.statistics.contrast import PairedTest
    from warehouse.statistics.estimates import ALPHA

    differences, width = np.array(row.pop("differences"), dtype=np.float64), row.pop("width")
    low, high = (PairedTest(differences, width).interval(ALPHA) if len(differences) else None) or (None, None)
    estimate = float(differences.mean()) if len(differences) else None
    was, now = (
        Mean(*(row.pop(f"{side}_{part}") for part in ("mean", "low", "high", "n"))) for side in ("old", "new")
    )
    return Means(**row, old=was, new=now, difference=Mean(estimate, low, high, len(differences)))


@contextlib.contextmanager
def _attached(**paths: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """Connect to warehouse files, read-only, each under a name.

    Their views reach no other file, whoever wrote them.
    """
    with duckdb.connect() as connection, duckdb_errors(" and ".join(map(str, paths.values()))):
        for name, path in paths.items():
            attach(connection, path, name)
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        yield connection
