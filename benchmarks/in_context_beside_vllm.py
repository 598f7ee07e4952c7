"""The job of `benchmarks.in_context_generation` beside vLLM: 24 and 240 requests, 64 new tokens, greedy, in
float32, the same safetensors.

vLLM answers them as one offline batch, with prefix caching, in the environment that `XP_VLLM` names; without
one it is named as not measured. It takes minutes to start and answers three times in one process, with
nothing kept of prompts each time, and its least time is taken, as is ours of five runs with 24 requests; with
240 ours runs once. Nothing is promised: the ratio is told whatever it says.
"""

import os
from collections.abc import Iterator

from benchmarks._in_context.job import Job, Timing, timed
from benchmarks.in_context_generation import FEW, MANY, least, rate, same_texts
from benchmarks.measured import Measured
from runners.serving.vllm import VARIABLE


def run() -> Iterator[Measured]:
    (few,) = least(("ours", FEW))
    yield from beside_vllm((FEW, few), (MANY, timed("ours", MANY)))


def beside_vllm(*found: tuple[Job, Timing]) -> Iterator[Measured]:
    """Yield our rates beside vLLM's, without a target: whatever they say."""
    for job, ours in found:
        asked = f"{job.n_requests} requests, beside vLLM"
        if VARIABLE not in os.environ:
            against = f"vLLM, where `{VARIABLE}` names it"
            yield rate(asked, ours.tokens_per_second, None, against, None)
            continue
        theirs = timed("vllm", job)
        n_same = same_texts(job, ours, job, theirs)
        against = f"vLLM {theirs.version}, one batch"
        yield Measured(
            f"same texts, {asked}", n_same, len(theirs.texts), against, "texts", None, is_least=True
        )
        yield rate(asked, ours.tokens_per_second, theirs.tokens_per_second, against, None)
