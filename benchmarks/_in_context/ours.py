"""The `transformers` engine, as a worker runs it."""

import time

from benchmarks._in_context.job import CACHE, WARM_UP_TOKENS, WEIGHTS, Job, Timing, answer
from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from runners.engines.contract import EngineRequest
from runners.engines.transformers import Engine
from runners.models.loading import load
from runners.prompting.tokens import token_ids


def generate(job: Job) -> Timing:
    settings = WEIGHTS.model_copy(update={"dtype": job.dtype, "batch_size": job.batch_size})
    engine = Engine(settings, None, CACHE)
    first = [
        EngineRequest(key=str(at), prompt=Prompt(text=text), seed=at) for at, text in enumerate(job.warm_up())
    ]
    list(engine.generate(first, Decoding(max_new_tokens=WARM_UP_TOKENS)))
    decoding = Decoding(
        max_new_tokens=job.max_new_tokens,
        temperature=job.temperature,
        top_p=job.top_p,
        repetition_penalty=job.repetition_penalty,
    )
    prompts = job.prompts()
    requests = [EngineRequest(key=str(at), prompt=prompt, seed=at) for at, prompt in enumerate(prompts)]
    began = time.perf_counter()
    answers = list(engine.generate(requests, decoding))
    seconds = time.perf_counter() - began
    if failed := [one.error for one in answers if one.error is not None]:
        raise RuntimeError(f"{len(failed)} requests were not answered: {failed[0]}")
    answers.sort(key=lambda one: int(one.key))
    tokenizer = load(settings, None, CACHE).tokenizer  # the one in memory
    columns = zip(*(token_ids(tokenizer, prompt) for prompt in prompts), strict=False)
    return Timing(
        seconds,
        texts=[one.raw_text or "" for one in answers],
        n_prompt_tokens=[one.n_prompt_tokens or 0 for one in answers],
        n_new_tokens=[one.n_new_tokens or 0 for one in answers],
        n_steps=[(one.n_new_tokens or 0) - (one.finish_reason != "eos") for one in answers],
        n_shared_tokens=next(at for at, ids in enumerate(columns) if len(set(ids)) > 1),
    )


if __name__ == "__main__":
    answer(generate)
