"""Settings of the `llama_cpp` engine: a GGUF file on this machine, served by llama.cpp."""

from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from dsl.engines._served import ServedWeights, program_hints
from dsl.values import Scalar

GIVEN = frozenset(
    {"model", "alias", "host", "port", "parallel", "lora", "lora_scaled", "model_draft", "mmproj", "offline"}
    | {"model_url", "hf_repo", "hf_file", "hf_token", "docker_repo", "models_dir", "models_preset"}
    | {"api_key", "api_key_file", "ssl_key_file", "ssl_cert_file", "api_prefix", "path", "reuse_port"}
    | {"chat_template", "chat_template_file", "jinja", "log_file", "log_disable", "embedding", "reranking"}
    | {"tools", "agent", "ui_mcp_proxy", "mcp_servers_config", "mcp_servers_json", "slot_save_path"}
)
"""Arguments that xp gives by itself, or that its server does without: prompts go to it as tokens, and it is
asked on this machine alone."""

FASTER = frozenset(
    {"threads", "threads_batch", "threads_http", "numa", "prio", "prio_batch", "poll", "poll_batch"}
    | {"mmap", "mlock", "load_mode", "warmup", "cache_ram", "verbosity", "perf"}
)
"""Arguments that change no token, and are no part of the identity."""


class Settings(ServedWeights):
    """A GGUF file that llama.cpp's server loads, started and ended with the steps that ask it."""

    # the same settings without an engine are transformers'
    model_config = ConfigDict(json_schema_extra={"required": ["engine"]})
    HINTS: ClassVar = program_hints("XP_LLAMA_CPP")
    SERVER: ClassVar[str] = "llama.cpp"
    GIVEN: ClassVar[frozenset[str]] = GIVEN
    FASTER: ClassVar[frozenset[str]] = FASTER
    ATTENTION: ClassVar[str] = "flash_attn"
    LENGTH: ClassVar[str] = "ctx_size"

    engine: Literal["llama_cpp"] = "llama_cpp"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the KV cache. That of the weights is the file's."""
    batch_size: int | None = Field(default=None, ge=1, le=256)
    """Slots of the server, each of which answers a request; without it, 8. Not part of the identity."""
    args: dict[str, Scalar] = {}
    """Arguments of the server, as llama-server's long options are called: `{ctx_size: 4096, n_gpu_layers:
    99}`. `ctx_size` is the room of one prompt with its answer, which xp multiplies by the slots; without it,
    what the model was trained for. Those that change no token (`threads`, …) are no part of the identity."""

    @model_validator(mode="after")
    def _is_of_llama_cpp(self) -> Self:
        length = self.args.get(self.LENGTH)
        if length is not None and (not isinstance(length, int) or length < 1):
            raise ValueError(f"`args` has `ctx_size: {length}`: write the tokens of a prompt with its answer")
        if self.trust_remote_code:
            raise ValueError("`trust_remote_code` is of `engine: transformers`: a GGUF file holds no code")
        return self

    @property
    def tuned_elsewhere(self) -> str:
        return (
            "llama.cpp, which reads GGUF files, and what is trained here is none: `engine: transformers` and"
            " `engine: vllm` ask it"
        )
