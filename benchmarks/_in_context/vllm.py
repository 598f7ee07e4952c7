"""vLLM's offline batches, with prefix caching, on the same float32 weights, in the environment that `XP_VLLM`
names."""

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._in_context import vllm_batch
from benchmarks._in_context.job import CACHE, WARM_UP_TOKENS, WEIGHTS, Job, Timing, answer
from runners.models.weight_files import source_folder
from runners.serving.vllm import program

SEQUENCES = 128
"""Requests that it answers at the same time."""


def generate(job: Job) -> Timing:
    asked = {
        "folder": str(source_folder(WEIGHTS, CACHE)),
        "dtype": job.dtype,
        "batch_size": job.batch_size or SEQUENCES,
        "warm_up": job.warm_up(),
        "warm_up_tokens": WARM_UP_TOKENS,
        "prompts": [prompt.text for prompt in job.prompts()],
        "max_new_tokens": job.max_new_tokens,
    }
    with TemporaryDirectory() as folder:
        given, found = Path(folder) / "asked.json", Path(folder) / "answered.json"
        given.write_text(json.dumps(asked), "utf-8")
        subprocess.run([program()[0], "-I", vllm_batch.__file__, str(given), str(found)], check=True)
        return Timing(**json.loads(found.read_text("utf-8")), n_steps=[])


if __name__ == "__main__":
    answer(generate)
