"""lm-evaluation-harness: its `hf` model class, called as its own evaluator calls it, on the same float32
weights."""

import time

from benchmarks._in_context.job import CACHE, WARM_UP_TOKENS, WEIGHTS, Job, Timing, answer
from runners.models.weight_files import source_folder


def generate(job: Job) -> Timing:
    """Its answers are texts: it does not say how many tokens they have."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    def instance(prompt: str, max_new_tokens: int) -> Instance:
        return Instance(
            "generate_until",
            {},
            (prompt, {"until": list(job.stop_strings), "max_gen_toks": max_new_tokens}),
            0,
        )

    folder = str(source_folder(WEIGHTS, CACHE))
    harness = HFLM(folder, device="cpu", dtype=job.dtype, batch_size=job.batch_size or 1)
    harness.generate_until([instance(text, WARM_UP_TOKENS) for text in job.warm_up()], disable_tqdm=True)
    requests = [instance(prompt.text or "", job.max_new_tokens) for prompt in job.prompts()]
    began = time.perf_counter()
    texts = harness.generate_until(requests, disable_tqdm=True)
    return Timing(time.perf_counter() - began, texts, n_prompt_tokens=[], n_new_tokens=[], n_steps=[])


if __name__ == "__main__":
    answer(generate)
