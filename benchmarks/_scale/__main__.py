"""One step of the warehouse's benchmark in a process of its own: `python -m benchmarks._scale '[step, folder,
models, items]'`.

Prints what it found as JSON, with the most memory that the process held.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._scale.fill import copy_kept, fill_tables, write_files
from benchmarks._scale.study import Shape, steps_of, study_of
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_store, load_study
from warehouse.report import write_report
from warehouse.report.reading import VIEWS


def fill(store: Path, shape: Shape) -> dict[str, Any]:
    """A warehouse of all models but the last, whose steps lie in the store."""
    study = study_of(shape)
    *most, last = shape.names
    write_files(store, study, shape, [last])
    with connect(store / WAREHOUSE) as connection:
        load_study(connection, study)
        fill_tables(connection, study, shape, most)
    return {}


def load(store: Path, shape: Shape) -> dict[str, Any]:
    """The last model, by the loader."""
    study = study_of(shape)
    last = shape.names[-1]
    with connect(store / WAREHOUSE) as connection:  # what is kept of the others is put there below
        connection.execute("delete from stale_slices where model <> ?", [last])
        (before,) = connection.execute(
            "select (select count(*) from step_completions) + (select count(*) from step_verdicts)"
        ).fetchone() or (0,)
    step_ids = [s for cell in study.cells if cell.model == last for s in steps_of(cell)]
    os.sync()  # what was written to fill store and warehouse is not to be waited for below
    begin = time.perf_counter()
    load_store(store, step_ids)
    seconds = time.perf_counter() - begin
    with connect(store / WAREHOUSE) as connection:
        (after,) = connection.execute(
            "select (select count(*) from step_completions) + (select count(*) from step_verdicts)"
        ).fetchone() or (0,)
        copy_kept(connection, study.experiment, last, shape.names[:-1])
    return {"seconds": seconds, "n_rows": after - before}


def views(store: Path, shape: Shape) -> dict[str, Any]:
    """Each view of the report, as the report reads it."""
    seconds: dict[str, float] = {}
    with connect(store / WAREHOUSE, read_only=True) as connection:
        for view in VIEWS:
            begin = time.perf_counter()
            connection.execute(
                f"from {view} where experiment = ?", [study_of(Shape(models=1)).experiment]
            ).fetchall()
            seconds[view] = time.perf_counter() - begin
        ((n_verdicts,),) = connection.execute("select count(*) from step_verdicts").fetchall()
    return {"seconds": seconds, "n_verdicts": n_verdicts}


def report(store: Path, shape: Shape) -> dict[str, Any]:
    """The report as a file."""
    begin = time.perf_counter()
    made = write_report(store / WAREHOUSE, "scale", store / "report.html")
    return {"seconds": time.perf_counter() - begin, "bytes": made.stat().st_size}


def main() -> None:
    what, folder, models, items = json.loads(sys.argv[1])
    found = {"fill": fill, "load": load, "views": views, "report": report}[what](
        Path(folder), Shape(models=models, items=items)
    )
    print(json.dumps(found | {"peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main()
