"""A server that behaves as vLLM's documented API does, with transformers behind it and without vLLM; with
`--alias`, as llama.cpp's does.

    python vllm_server.py --model FOLDER --port N …

It knows `/v1/models`, `/version`, `/v1/completions` with tokens in and out, and adapters that are loaded and
unloaded; it takes its key from VLLM_API_KEY. Greedy tokens are those of the model, one by one, as slow as
that is. It takes no more adapters at once than `--max-loras`, though vLLM would swap them. What it was asked
goes to the file in VLLM_SERVER_ASKED, a JSON object a line, its starts to that beside it, and it ends itself
before the answers whose numbers, over all its starts, are in VLLM_SERVER_ENDS_BEFORE. With
VLLM_SERVER_HAS_NO_MODEL every answer is its end alone, after VLLM_SERVER_SECONDS, and of the tokens whose
log-probabilities are asked for each is likelier than the one before. With VLLM_SERVER_KNOWS_NO_LABELS it
gives none of those, and the prompt whose number is VLLM_SERVER_REFUSES is refused. As llama.cpp's server it
takes its key from LLAMA_API_KEY, reads a GGUF file, and knows `/v1/models`, `/props` and `/completion`.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = "0.32.0"


class Model:
    """The weights and the adapters on them."""

    def __init__(self, folder: str, tokenizer: str | None) -> None:
        place = Path(folder)
        self._file = place.name if place.suffix == ".gguf" else None
        self._folder = folder if self._file is None else str(place.parent)
        self._tokenizer_folder = tokenizer or self._folder
        self._model: Any = None
        self._tokenizer: Any = None
        self._adapted: dict[str, Any] = {}
        self.adapters: dict[str, str] = {}
        self._lock = threading.Lock()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the choice of a completion."""
        time.sleep(float(os.environ.get("VLLM_SERVER_SECONDS", 0)))
        if os.environ.get("VLLM_SERVER_HAS_NO_MODEL"):
            chances = {label: float(n) for n, label in enumerate(asked.get("logprob_token_ids", ()))}
            ends = asked.get("stop_token_ids", [0])[:1]
            return {"token_ids": ends, "finish_reason": "stop", "text": "", **_logprobs(chances)}
        import torch

        with self._lock, torch.inference_mode():
            model = self._with(asked["model"])
            if labels := asked.get("logprob_token_ids"):
                logits = model(input_ids=torch.tensor([asked["prompt"]])).logits[0, -1].float()
                chances = dict(zip(labels, logits.log_softmax(-1)[labels].tolist(), strict=True))
                new = [int(logits.argmax())]
                return {"token_ids": new, "finish_reason": "length", "text": "", **_logprobs(chances)}
            ids, new = list(asked["prompt"]), list[int]()
            while len(new) < asked["max_tokens"]:
                logits = model(input_ids=torch.tensor([ids + new])).logits[0, -1].float()
                seen = torch.tensor(sorted(set(ids + new)))
                penalty = asked["repetition_penalty"]
                logits[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
                new.append(int(logits.argmax()))
                text = self._tokenizer.decode(new, skip_special_tokens=True)
                if new[-1] in asked["stop_token_ids"] or any(stop in text for stop in asked.get("stop", ())):
                    return {"token_ids": new, "finish_reason": "stop", "text": text}
            return {"token_ids": new, "finish_reason": "length", "text": self._tokenizer.decode(new)}

    def _with(self, name: str) -> Any:
        import torch
        import transformers

        auto: Any = transformers
        if self._model is None:
            of_gguf = {} if self._file is None else {"gguf_file": self._file}
            how = {"quantization_config": auto.GgufConfig(dequantize=True)} if of_gguf else {}
            self._model = auto.AutoModelForCausalLM.from_pretrained(
                self._folder, dtype=torch.float32, **of_gguf, **how
            ).eval()
            self._tokenizer = auto.AutoTokenizer.from_pretrained(self._tokenizer_folder, **of_gguf)
        if name not in self.adapters:
            return self._model
        if name not in self._adapted:
            import peft

            made: Any = peft
            base = auto.AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32)
            self._adapted[name] = made.PeftModel.from_pretrained(base, self.adapters[name]).eval()
        return self._adapted[name]


def _logprobs(chances: dict[int, float]) -> dict[str, Any]:
    """Return the part of a choice with the log-probabilities of tokens, as vLLM names these."""
    if not chances or os.environ.get("VLLM_SERVER_KNOWS_NO_LABELS"):
        return {"logprobs": {"top_logprobs": [{"token_id:0": 0.0}]} if chances else None}
    return {"logprobs": {"top_logprobs": [{f"token_id:{token}": p for token, p in chances.items()}]}}


_EOS = 2
"""The end-of-sequence token of the tiny model, as its GGUF file names it."""


def _as_vllm(asked: dict[str, Any]) -> dict[str, Any]:
    """Return a request to llama.cpp's server in vLLM's words."""
    return {
        "max_tokens": asked["n_predict"],
        "repetition_penalty": asked.get("repeat_penalty", 1.0),
        "stop_token_ids": [_EOS],
        "logprob_token_ids": [label for label, _ in asked.get("logit_bias", ())],
    }


def _as_llama_cpp(asked: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any]:
    """Return a choice of vLLM's in the words of llama.cpp's server."""
    ids, logprobs = choice["token_ids"], choice.get("logprobs")
    ends = {"length": "limit", "stop": "eos" if ids[-1] == _EOS else "word"}
    said = {
        "tokens": ids if asked.get("return_tokens") else [],
        "stop_type": ends[choice["finish_reason"]],
        "tokens_evaluated": len(asked["prompt"]),
        "tokens_predicted": len(ids),
    }
    if logprobs is None:
        return said
    import math

    chances = {int(name.rpartition(":")[2]): math.exp(p) for name, p in logprobs["top_logprobs"][0].items()}
    of_all = sum(chances.values())
    top = sorted(chances.items(), key=lambda one: -one[1])
    probs = [{"id": token, "token": "", "bytes": [], "prob": chance / of_all} for token, chance in top]
    return {**said, "completion_probabilities": [{"id": top[0][0], "top_probs": probs}]}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--model", "--tokenizer", "--served-model-name", "--host", "--max-model-len"):
        parser.add_argument(name)
    parser.add_argument("--alias")
    parser.add_argument("--port", type=int)
    parser.add_argument("--ctx-size", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--max-lora-rank", type=int)
    parser.add_argument("--max-loras", type=int, default=1)
    parser.add_argument("--enable-lora", action="store_true")
    options, _ = parser.parse_known_args()
    name = options.alias or options.served_model_name
    key = os.environ["LLAMA_API_KEY" if options.alias else "VLLM_API_KEY"]
    if (file := os.environ.get("VLLM_SERVER_ASKED")) is not None:
        with open(f"{file}.starts", "a", encoding="utf-8") as out:
            out.write(f"{os.getpid()}\n")
    if os.environ.get("VLLM_SERVER_HAS_CHILD"):  # as vLLM has its engine's process
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "child of a server"])
    model = Model(options.model, options.tokenizer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/version":
                return self._say(200, {"version": VERSION})
            if not self._is_allowed():
                return self._say(401, {"error": "Unauthorized"})
            length = int(options.max_model_len or 1024)
            if self.path == "/props":
                return self._say(200, {"build_info": "b11434-fake", "model_ftype": "all F32"})
            if options.alias:
                meta = {"n_ctx": options.ctx_size // options.parallel, "ftype": "all F32"}
                return self._say(200, {"object": "list", "data": [{"id": name, "meta": meta}]})
            found = [{"id": name, "root": options.model, "max_model_len": length}]
            found += [{"id": adapter, "parent": name} for adapter in model.adapters]
            return self._say(200, {"object": "list", "data": found})

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            if not self._is_allowed():
                return self._say(401, {"error": "Unauthorized"})
            asked = json.loads(content)
            _note({"path": self.path, **asked})
            if self.path == "/v1/load_lora_adapter":
                return self._load(asked)
            if self.path == "/v1/unload_lora_adapter":
                del model.adapters[asked["lora_name"]]
                return self._say(200, "Success: LoRA adapter removed successfully.")
            if asked["model"] not in (name, *model.adapters):
                return self._say(404, {"error": {"message": f"The model `{asked['model']}` does not exist."}})
            if len(asked["prompt"]) > 1 and os.environ.get("VLLM_SERVER_REFUSES") == str(_n_asked()):
                return self._say(400, {"error": {"message": "told to refuse"}})
            if self.path == "/completion":
                return self._say(200, _as_llama_cpp(asked, model.answer({**asked, **_as_vllm(asked)})))
            choice: dict[str, Any] = {"index": 0, "logprobs": None, **model.answer(asked)}
            assert len(asked.get("logprob_token_ids", ())) == asked.get("logprobs", 0)
            usage = {"prompt_tokens": len(asked["prompt"]), "completion_tokens": len(choice["token_ids"])}
            return self._say(200, {"id": "1", "model": asked["model"], "choices": [choice], "usage": usage})

        def _load(self, asked: dict[str, Any]) -> None:
            config = json.loads((Path(asked["lora_path"]) / "adapter_config.json").read_text("utf-8"))
            if not options.enable_lora or config["r"] > options.max_lora_rank:
                return self._say(400, {"error": {"message": "LoRA rank is greater than max_lora_rank"}})
            if len(model.adapters) == options.max_loras:
                return self._say(400, {"error": {"message": "as many adapters as --max-loras are loaded"}})
            model.adapters[asked["lora_name"]] = asked["lora_path"]
            return self._say(200, f"Success: LoRA adapter '{asked['lora_name']}' added successfully.")

        def _is_allowed(self) -> bool:
            return self.headers.get("authorization") == f"Bearer {key}"

        def _say(self, status: int, said: object) -> None:
            body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            kind = "text/plain" if isinstance(said, str) else "application/json"
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()


_LOCK = threading.Lock()
_COMPLETIONS = ("/v1/completions", "/completion")


def _note(asked: dict[str, Any]) -> None:
    """Write down what was asked, and end where a test says so."""
    if (file := os.environ.get("VLLM_SERVER_ASKED")) is None:
        return
    with _LOCK:
        with open(file, "a", encoding="utf-8") as out:
            out.write(json.dumps(asked) + "\n")
        ends = os.environ.get("VLLM_SERVER_ENDS_BEFORE", "").split()
        if asked["path"] in _COMPLETIONS and str(_n_asked()) in ends:
            os.write(1, b"(EngineCore pid=7) ERROR RuntimeError: told to end\n")
            os.write(1, b"RuntimeError: Engine core initialization failed. See root cause above.\n")
            os._exit(3)


def _n_asked() -> int:
    """Return the number of completions asked for, over all starts."""
    lines = Path(os.environ["VLLM_SERVER_ASKED"]).read_text("utf-8").splitlines()
    return sum(json.loads(line)["path"] in _COMPLETIONS for line in lines)


if __name__ == "__main__":
    main()
