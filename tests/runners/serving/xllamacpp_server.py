"""llama.cpp's own server out of the package xllamacpp, started with the options that `llama-server` has.

    python xllamacpp_server.py --model FILE --port N …

The package holds it compiled for any processor; it takes its key from LLAMA_API_KEY, as the program does.
"""

import argparse
import os
import signal
from pathlib import Path
from typing import Any

import xllamacpp  # pyright: ignore[reportMissingImports]


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("model", "alias", "host", "chat-template-file"):
        parser.add_argument(f"--{name}")
    for name in ("cache-type-k", "cache-type-v", "flash-attn"):
        parser.add_argument(f"--{name}")
    for name in ("port", "ctx-size", "parallel", "threads"):
        parser.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    made: Any = xllamacpp
    types = {name: getattr(made.ggml_type, f"GGML_TYPE_{name.upper()}") for name in ("f32", "f16", "bf16")}
    params = made.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias or "model"}
    params.hostnames, params.port = [options.host or "127.0.0.1"], options.port
    params.n_parallel, params.kv_unified = options.parallel or 1, False
    params.n_ctx = options.ctx_size or 0
    params.cache_type_k = types[options.cache_type_k or "f16"]
    params.cache_type_v = types[options.cache_type_v or "f16"]
    attention = (options.flash_attn or "auto").upper().replace("OFF", "DISABLED").replace("ON", "ENABLED")
    params.flash_attn_type = getattr(made.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{attention}")
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads or os.cpu_count() or 1
    if options.chat_template_file is not None:
        params.chat_template = Path(options.chat_template_file).read_text("utf-8")
    if key := os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [key]
    server = made.Server(params)
    os.write(1, f"listening on {server.listening_address}\n".encode())
    signal.pause()


if __name__ == "__main__":
    main()
