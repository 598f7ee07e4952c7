"""Generation in context: 24 and 240 questions under the shipped English preamble and its three worked
examples, 64 new tokens, greedy.

SmolLM2-135M-Instruct in float32 on the processor, as a worker runs it, against

- lm-evaluation-harness (`hf`, float32, the same safetensors) at the best of three batch sizes;
- llama.cpp (the Q4_1 weights these were unpacked from), one request after another over a prefix that stays in
  its context;
- the floor: what the job must compute and read, at this machine's measured rates (`_in_context.floor` says
  how).

What is timed is the call that generates, in a process of its own for each run, with the model in memory and a
warm-up answered: prompts of the same length that begin otherwise. Ours and llama.cpp run five times in turns,
and the least time of each is taken; lm-evaluation-harness runs once with each batch size. It keeps nothing
from one batch to the next, so that its time for 240 requests is that of every fifth batch of them, times
five. No stop strings, and every side ends at EOS: tokens are those really made, and of
lm-evaluation-harness, whose texts must be ours letter for letter, as many as ours.
`benchmarks.in_context_beside_vllm` does the same job beside vLLM.

What bfloat16 gains, and what sampling, a repetition penalty and stop strings cost, is told in tokens a
second, against ours without, in turns too; the stop strings are like the shipped ones, but ones that no
answer holds, so that no row ends earlier.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version

from benchmarks._in_context.floor import Request, floor_seconds, read_shape
from benchmarks._in_context.job import CACHE, WEIGHTS, Job, Timing, measured_rates, timed
from benchmarks.measured import Measured
from runners.models.weight_files import source_folder

FEW, MANY = Job(24), Job(240)
HARNESS_BATCHES = (8, 12, 24)
SAMPLED = 5
STOP_STRINGS = ("# Question:", "# Human:")


def run() -> Iterator[Measured]:
    harness_name = f"lm-evaluation-harness {version('lm_eval')}"
    few, llama = least(("ours", FEW), ("llama_cpp", FEW))
    harness = {size: timed("lm_eval", replace(FEW, batch_size=size)) for size in HARNESS_BATCHES}
    size = min(harness, key=lambda size: harness[size].seconds)
    n_same = same_texts(FEW, few, FEW, harness[size])
    n_tokens = sum(few.n_new_tokens)
    against = f"{harness_name}, batch {size}"
    yield Measured(
        f"same texts, {FEW.n_requests} requests",
        n_same,
        FEW.n_requests,
        harness_name,
        "texts",
        1.0,
        is_least=True,
    )
    yield rate("24 requests", few.tokens_per_second, n_tokens / harness[size].seconds, against, 6.0)

    against = f"llama.cpp {version('llama_cpp_python')} Q4_1, one by one"
    yield rate("24 requests", few.tokens_per_second, llama.tokens_per_second, against, 3.0)
    rows = [
        Request(n - few.n_shared_tokens, steps)
        for n, steps in zip(few.n_prompt_tokens, few.n_steps, strict=True)
    ]
    rates = measured_rates()
    floor = floor_seconds(read_shape(source_folder(WEIGHTS, CACHE)), few.n_shared_tokens, rows, rates)
    against = f"the floor at {rates.flops / 1e9:.0f} GFLOP/s and {rates.bytes / 1e9:.0f} GB/s"
    yield Measured(
        f"in-context generation, 24 requests ({few.n_shared_tokens} tokens shared)",
        few.seconds,
        floor,
        against,
        "s",
        2.0,
    )

    many = timed("ours", MANY)
    part = replace(MANY, batch_size=size, sampled=SAMPLED)
    sampled = timed("lm_eval", part)
    n_same = same_texts(MANY, many, part, sampled)
    yield Measured(
        "same texts, of 240 requests", n_same, len(sampled.texts), harness_name, "texts", 1.0, is_least=True
    )
    against = f"{harness_name}, batch {size}"
    yield rate(
        "240 requests",
        many.tokens_per_second,
        sum(many.n_new_tokens) / (sampled.seconds * SAMPLED),
        against,
        8.0,
    )

    others = (
        ("in bfloat16", replace(FEW, dtype="bfloat16"), None),
        ("sampling (temperature 0.7, top_p 0.9)", replace(FEW, temperature=0.7, top_p=0.9), 0.85),
        ("repetition penalty 1.1", replace(FEW, repetition_penalty=1.1), 0.85),
        ("two stop strings", replace(FEW, stop_strings=STOP_STRINGS), 0.85),
    )
    few, *found = least(("ours", FEW), *(("ours", job) for _, job, _ in others))
    for (name, _, target), timing in zip(others, found, strict=True):
        yield rate(
            f"24 requests, {name}",
            timing.tokens_per_second,
            few.tokens_per_second,
            "ours, greedy float32",
            target,
        )


def least(*asked: tuple[str, Job]) -> list[Timing]:
    """Return the fastest of each side's five runs. Sides take turns, so a slow period of the machine affects
    all of them."""
    turns = [[timed(side, job) for side, job in asked] for _ in range(5)]
    return [min(runs, key=lambda timing: timing.seconds) for runs in zip(*turns, strict=True)]


def same_texts(job: Job, ours: Timing, their_job: Job, theirs: Timing) -> int:
    """Count the texts that are the same on both sides."""
    wrote = {prompt.text: text for prompt, text in zip(job.prompts(), ours.texts, strict=True)}
    return sum(
        wrote[prompt.text] == text for prompt, text in zip(their_job.prompts(), theirs.texts, strict=True)
    )


def rate(name: str, ours: float, theirs: float | None, against: str, target: float | None) -> Measured:
    """Return rates in tokens a second, under this benchmark's name."""
    return Measured(
        f"in-context generation, {name}", ours, theirs, against, "tokens/s", target, is_least=True
    )
