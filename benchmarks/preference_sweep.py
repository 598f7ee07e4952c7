"""Cost of a sweep of five `beta` against five separate runs: DPO of SmolLM2-135M, the reference
computed once and the model loaded once."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._training import study
from benchmarks.measured import Measured

BETAS = (0.03, 0.1, 0.2, 0.3, 0.5)
SEPARATE = 2
"""Separate runs that are timed; all cost the same."""

METHOD = {
    "method": "dpo",
    "pairs": "preferences",
    "adapter": {"r": 8, "lora_alpha": 16},
    "training": {
        "num_train_epochs": 1.0,
        "per_device_train_batch_size": 4,
        "learning_rate": 1.0e-4,
        "max_length": 256,
    },
}


def run() -> Iterator[Measured]:
    """Whole processes, one after another. A separate run is a bare TRL script, which computes the reference
    as training goes on; the mean of two stands for each of the five. Sixteen pairs, one epoch: with more
    epochs, the reference of a sweep costs even less. In float32, so that the losses can be compared: in
    bfloat16, whose rounding hangs on the batch, the two sides drift apart by hundredths.
    """
    with TemporaryDirectory() as folder:
        spec = study.written(
            Path(folder), {f"beta_{n}": {**METHOD, "beta": beta} for n, beta in enumerate(BETAS)}
        )
        store = Path(folder) / "store"
        jobs = study.jobs(spec, store, Path(folder))
        separate = [_seconds(study.script(job)) for job in jobs[:SEPARATE]]
        sweep = _seconds(study.apply(spec, store, "dpo"))
        losses = study.losses(store, "dpo")
        assert len(losses) == len(BETAS)
        for job in jobs[:SEPARATE]:
            found, expected = losses[job.step_id], study.losses_of_script(job)
            assert len(found) == len(expected) > 0
            assert max(abs(one - other) for one, other in zip(found, expected, strict=True)) < 1e-3, (
                found,
                expected,
            )
    yield Measured(
        "a sweep of five beta", sweep, sum(separate) / SEPARATE * len(BETAS), "five separate runs", "s", 0.75
    )


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, env=study.environment(threads=study.CORES), stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
