"""llama.cpp, through llama-cpp-python: the quantised weights, one request after another, all but the first
over the prefix that stays in its context (`Llama.generate` keeps the longest common prefix of two calls)."""

import os
import time
from importlib.metadata import files
from itertools import islice

from benchmarks._in_context.job import WARM_UP_TOKENS, WEIGHTS, Job, Timing, answer


def generate(job: Job) -> Timing:
    from llama_cpp import Llama

    threads = len(os.sched_getaffinity(0))
    file = next(file for file in files(str(WEIGHTS.package)) or () if file.suffix == ".gguf").locate()
    llama = Llama(str(file), n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)
    ends = llama.token_eos()

    def made(prompt: list[int], n: int) -> list[int]:
        tokens: list[int] = []
        for token in islice(llama.generate(prompt, temp=0.0, repeat_penalty=1.0), n):
            if token == ends:
                break
            tokens.append(token)
        return tokens

    for text in job.warm_up():
        made(llama.tokenize(text.encode(), add_bos=False), WARM_UP_TOKENS)
    prompts = [(prompt.text or "").encode() for prompt in job.prompts()]
    began = time.perf_counter()
    asked = [llama.tokenize(prompt, add_bos=False) for prompt in prompts]
    answers = [made(ids, job.max_new_tokens) for ids in asked]
    texts = [llama.detokenize(tokens).decode(errors="replace") for tokens in answers]
    seconds = time.perf_counter() - began
    return Timing(
        seconds,
        texts,
        n_prompt_tokens=[len(ids) for ids in asked],
        n_new_tokens=[len(tokens) for tokens in answers],
        n_steps=[],
    )


if __name__ == "__main__":
    answer(generate)
