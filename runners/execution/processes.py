"""Training in several processes on this machine, one for each GPU: torch's launcher starts them, and
accelerate averages their gradients (distributed data parallel), or shards the weights, too (fully sharded
data parallel).

Each process runs the whole step on its share of the batches. The first one's files are the step's; the others
write into folders that are thrown away, but for the checkpoints, which they share.
"""

import contextlib
import dataclasses
import json
import os
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Generator
from pathlib import Path

from dsl.errors import BudgetSpent, StepFailed
from dsl.spec.budget import Charge
from dsl.steps.steps import AnyStep
from dsl.values import StepId, Value
from runners.store.step_io import StepContext, StepResult
from runners.store.store import Store
from runners.training.trainer import CHECKPOINTS, BatchTooLarge, last_checkpoint

_LOOK_SECONDS = 0.2


class Job(Value):
    """A training step, as each of its processes reads it."""

    step: AnyStep
    folders: dict[StepId, Path]
    cache: Path
    out: Path
    fsdp: bool = False
    scratch: Path
    """A folder for what is thrown away, and for the messages below."""
    store: Path
    charge: Charge | None
    parent: int
    """The id of the process that launches it."""

    @property
    def progress(self) -> Path:
        """Optimiser steps done, and in all."""
        return self.scratch / "progress"

    @property
    def result(self) -> Path:
        return self.scratch / "result.json"

    @property
    def error(self) -> Path:
        """The first error of any process: its class, and its message in one line."""
        return self.scratch / "error.json"


def run_in_processes(step: AnyStep, context: StepContext, out: Path, store: Store) -> StepResult:
    """Run a training step in `context.n_processes` processes; its batches are those of each of them.

    Raises:
        BatchTooLarge: memory ran out in one of them.
        BudgetSpent: as the step.
        StepFailed: a process raised, or died.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    (out / CHECKPOINTS).mkdir(exist_ok=True)
    last_checkpoint(out, fsdp=context.fsdp)  # which removes half-written ones, before several look
    n = context.n_processes
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=n,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        virtual_local_rank=True,  # each sees one GPU
    )
    with tempfile.TemporaryDirectory() as scratch:
        job = Job(
            step=step,
            folders={step_id: folder.resolve() for step_id, folder in context.folders.items()},
            cache=context.cache.resolve(),
            out=out.resolve(),
            fsdp=context.fsdp,
            scratch=Path(scratch),
            store=store.root.resolve(),
            charge=store.charge,
            parent=os.getpid(),
        )
        file = job.scratch / "job.json"
        file.write_text(job.model_dump_json(), "utf-8")
        launch = elastic_launch(config, sys.executable)
        try:
            with _reported(job.progress, context.report):
                launch("-P", "-m", "runners.execution.training_process", str(file))
        except ChildFailedError as error:
            raise _error(job, [failure.exitcode for failure in error.failures.values()]) from error
        return StepResult(**json.loads(job.result.read_bytes()))


@contextlib.contextmanager
def _reported(progress: Path, report: Callable[[int, int], None]) -> Generator[None]:
    """Report what the first process notes of its progress, while the block runs."""
    is_over = threading.Event()

    def look() -> None:
        told = ""
        while not is_over.wait(_LOOK_SECONDS):
            with contextlib.suppress(OSError, ValueError):
                if (noted := progress.read_text()) != told:
                    done, total = map(int, noted.split())
                    told = noted
                    report(done, total)

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()


def _error(job: Job, exit_codes: list[int]) -> Exception:
    with contextlib.suppress(OSError, ValueError):
        noted = json.loads(job.error.read_bytes())
        kinds = {kind.__name__: kind for kind in (BatchTooLarge, BudgetSpent)}
        return kinds.get(noted["kind"], StepFailed)(noted["message"])
    ends = {
        f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
        for code in exit_codes
    }
    return StepFailed(f"a process of the training died: {', '.join(sorted(ends))}")


def write_result(job: Job, made: StepResult) -> None:
    """Write what the first process returns."""
    job.result.write_text(json.dumps(dataclasses.asdict(made)), "utf-8")
