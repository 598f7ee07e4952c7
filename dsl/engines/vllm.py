"""Settings of the `vllm` engine: weights on this machine, served by vLLM."""

from math import prod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from dsl.engines._served import ServedWeights, program_hints
from dsl.engines.contract import ServerSettings, without_secret
from dsl.engines.openai import Settings as RunningServer
from dsl.values import Scalar

GIVEN = frozenset(
    {"model", "tokenizer", "dtype", "revision", "tokenizer_revision", "trust_remote_code", "host", "port"}
    | {"uds", "api_key", "served_model_name", "generation_config", "enable_lora", "max_lora_rank"}
    | {"lora_modules", "config", "root_path", "enable_prefix_caching"}
    | {"hf_token", "ssl_keyfile", "ssl_certfile", "ssl_ca_certs", "ssl_cert_reqs"}
)
"""Arguments that xp gives by itself, or that its server does without: all it needs lies in folders, and it is
asked on this machine alone."""

FASTER = frozenset(
    {"gpu_memory_utilization", "kv_cache_memory_bytes", "swap_space", "cpu_offload_gb", "download_dir"}
    | {"max_loras", "max_cpu_loras", "uvicorn_log_level", "disable_log_stats"}
)
"""Arguments that change no token, and are no part of the identity."""

_PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


class Settings(ServedWeights):
    """Weights that a vLLM server loads: one that the study starts and ends, or one that runs already."""

    # the same settings without an engine are transformers'
    model_config = ConfigDict(json_schema_extra={"required": ["engine"]})
    HINTS: ClassVar = program_hints("XP_VLLM")
    SERVER: ClassVar[str] = "vLLM"
    GIVEN: ClassVar[frozenset[str]] = GIVEN
    FASTER: ClassVar[frozenset[str]] = FASTER
    ATTENTION: ClassVar[str] = "attention_backend"
    LENGTH: ClassVar[str] = "max_model_len"

    engine: Literal["vllm"] = "vllm"
    batch_size: int | None = Field(default=None, ge=1)
    """Requests in flight at most; without it, 256. Not part of the identity."""
    args: dict[str, Scalar] = {}
    """Arguments of the server, as vLLM's engine arguments are called: `{max_model_len: 4096, quantization:
    fp8}`. Those that change no token (`gpu_memory_utilization`, …) are no part of the identity."""
    base_url: Annotated[str, AfterValidator(without_secret)] | None = None
    """The address of a vLLM server that runs already and serves these weights, as `http://localhost:8000`.
    Without it one is started here, from the environment that XP_VLLM names, and ended with the steps that ask
    it."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key of the server at `base_url`."""
    lora_rank: int = Field(default=0, ge=0, json_schema_extra={"readOnly": True})
    """Filled in by the plan: the largest rank of the study's adapters; 0 without any."""

    @model_validator(mode="after")
    def _is_of_vllm(self) -> Self:
        if self.args and self.base_url is not None:
            raise ValueError(
                "`args` start a server, and the one at `base_url` runs already. Name one of them"
            )
        if self.api_key_env is not None and self.base_url is None:
            raise ValueError(
                "`api_key_env` goes with `base_url`: a server that is started here has a key of its own"
            )
        return self

    @property
    def is_started(self) -> bool:
        return self.base_url is None

    @property
    def n_gpus(self) -> int:
        sizes = (self.args.get(name) for name in _PARALLEL)
        return prod(size for size in sizes if isinstance(size, int) and size > 0)

    def for_adapters(self, rank: int) -> Self:
        return self.model_copy(update={"lora_rank": rank})

    def server_named(self) -> ServerSettings | None:
        """Return how the server at `base_url` is reached; its name for the model is found when it is
        asked."""
        if self.base_url is None:
            return None
        address = self.base_url.rstrip("/").removesuffix("/v1")
        named = {"name": self.source, "base_url": address, "api_key_env": self.api_key_env}
        return RunningServer.model_validate(named)

    def affinity(self) -> str:
        """Return a key of the server that is started; empty for one that runs already."""
        return super().affinity() if self.is_started else ""
