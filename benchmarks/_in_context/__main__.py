"""One side alone: how long it takes and how many tokens a second it makes."""

import argparse

from benchmarks._in_context.job import Job, timed

SIDES = ("ours", "lm_eval", "llama_cpp", "vllm")

parser = argparse.ArgumentParser(prog="python -m benchmarks._in_context", description=__doc__)
parser.add_argument("--side", choices=SIDES, default="ours")
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--requests", "--n", type=int, default=24)
parser.add_argument("--max-new-tokens", type=int, default=64)
parser.add_argument("--dtype", default="float32")
parser.add_argument("--batch-size", type=int)
parser.add_argument("--temperature", type=float, default=0.0)
parser.add_argument("--top-p", type=float, default=1.0)
parser.add_argument("--repetition-penalty", type=float, default=1.0)
parser.add_argument("--stop", action="append", default=[])
given = parser.parse_args()
job = Job(
    given.requests,
    given.max_new_tokens,
    given.dtype,
    given.batch_size,
    given.temperature,
    given.top_p,
    given.repetition_penalty,
    tuple(given.stop),
)
for _ in range(given.runs):
    found = timed(given.side, job)
    tokens = sum(found.n_new_tokens)
    print(f"{found.seconds:.2f} s, {tokens} tokens, {tokens / found.seconds:.1f} tokens/s", flush=True)
