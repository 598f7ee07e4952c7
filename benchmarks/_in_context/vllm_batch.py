"""vLLM's own process, run by the Python of its environment, which has nothing of this project: reads what is
asked from a file of JSON, and writes what it took to another."""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

RUNS = 3
"""Times that the job is answered, of which the least is told: a start takes minutes. Nothing that was kept of
prompts goes from one to the next."""


def generate(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the timing, with vLLM's version in `version`."""
    vllm: Any = importlib.import_module("vllm")  # of this environment alone

    llm = vllm.LLM(
        asked["folder"],
        dtype=asked["dtype"],
        max_model_len=2048,
        max_num_seqs=asked["batch_size"],
        enable_prefix_caching=True,
        generation_config="vllm",  # the decoding of a request is all there is
    )

    def answered(texts: list[str], max_tokens: int) -> list[Any]:
        return llm.generate(
            texts, vllm.SamplingParams(temperature=0.0, max_tokens=max_tokens), use_tqdm=False
        )

    answered(asked["warm_up"], asked["warm_up_tokens"])
    seconds, found = [], []
    for _ in range(RUNS):
        if not llm.reset_prefix_cache():
            raise RuntimeError("vLLM keeps what it has of prompts: the next run would not begin as the first")
        began = time.perf_counter()
        found = answered(asked["prompts"], asked["max_new_tokens"])
        seconds.append(time.perf_counter() - began)
    ends = llm.get_tokenizer().eos_token_id
    answers = [one.outputs[0] for one in found]
    return {
        "version": vllm.__version__,
        "seconds": min(seconds),
        "texts": [one.text for one in answers],
        "n_prompt_tokens": [len(one.prompt_token_ids or ()) for one in found],
        "n_new_tokens": [sum(token != ends for token in one.token_ids) for one in answers],
    }


if __name__ == "__main__":
    asked, answer = map(Path, sys.argv[1:])
    answer.write_text(json.dumps(generate(json.loads(asked.read_text("utf-8")))), "utf-8")
