"""Sides of `benchmarks.in_context_generation` and `benchmarks.in_context_beside_vllm`, one file each: `ours`,
`lm_eval`, `llama_cpp`, `vllm`, and the machine's own `rates`.

Each side is a process of its own that is handed a job and prints what it took:

    python -m benchmarks._in_context --side ours --requests 24 --dtype bfloat16
"""
