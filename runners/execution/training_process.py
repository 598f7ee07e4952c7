"""One of several processes of a training step, started by torch's launcher.

python -m runners.execution.training_process JOB
"""

import contextlib
import json
import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from runners.execution.attempt import in_one_line
from runners.execution.processes import Job, write_result
from runners.execution.worker import die_with
from runners.models.memory import peak_memory
from runners.steps import find_runner
from runners.store import spending
from runners.store.step_io import StepContext, StepResult
from runners.store.store import Store
from runners.training.trainer import CHECKPOINTS


def main() -> None:
    job = Job.model_validate_json(Path(sys.argv[1]).read_bytes())
    die_with(job.parent)
    rank = int(os.environ["RANK"])
    store = Store(job.store)
    store.charge = job.charge
    try:
        with spending.charged(job.step, store):
            made = _run(job, rank)
    # whatever a library raises is the step's error
    except Exception as error:
        traceback.print_exception(error)
        with contextlib.suppress(FileExistsError), job.error.open("x") as file:
            json.dump({"kind": type(error).__name__, "message": in_one_line(error)}, file)
        sys.exit(1)
    if rank == 0:
        write_result(job, replace(made, peak_memory_bytes=peak_memory()))


def _run(job: Job, rank: int) -> StepResult:
    out = job.out
    if rank > 0:
        out = job.scratch / f"process-{rank}"
        out.mkdir()
        (out / CHECKPOINTS).symlink_to(job.out / CHECKPOINTS)

    def report(done: int, total: int) -> None:
        if rank == 0:
            job.progress.write_text(f"{done} {total}")

    context = StepContext(job.folders, job.cache, report=report, fsdp=job.fsdp)
    return find_runner(job.step.kind).run(job.step, context, out)


if __name__ == "__main__":
    main()
