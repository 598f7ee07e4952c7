"""Settings of the `vllm` engine: weights on this machine, served by vLLM."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from dsl.data.fingerprints import Fingerprints
from dsl.engines.contract import ServerSettings, without_secret
from dsl.engines.openai import Settings as RunningServer
from dsl.engines.transformers import Weights
from dsl.messages import is_secret, listed, scrub
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


class Settings(Weights):
    """Weights that a vLLM server loads: one that the study starts and ends, or one that runs already."""

    # the same settings without an engine are transformers'
    model_config = ConfigDict(json_schema_extra={"required": ["engine"]})

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
    counted_args: dict[str, Scalar] = Field(default={}, json_schema_extra={"readOnly": True})
    """Filled in by the plan: those of `args` that change results."""
    lora_rank: int = Field(default=0, ge=0, json_schema_extra={"readOnly": True})
    """Filled in by the plan: the largest rank of the study's adapters; 0 without any."""

    @model_validator(mode="after")
    def _is_of_vllm(self) -> Self:
        if self.attn_implementation is not None:
            raise ValueError(
                "`attn_implementation` is of `engine: transformers`; vLLM's is `args: {attention_backend: …}`"
            )
        if given := sorted(self.args.keys() & GIVEN):
            raise ValueError(
                f"`args` names {listed(given)}: given to every server by xp, from the settings beside `args`,"
                " or not needed by one that only this machine asks"
            )
        if odd := sorted(name for name in self.args if not name.replace("_", "").isalnum()):
            raise ValueError(f"`args` names {listed(odd)}: write an argument as `max_model_len: 4096`")
        texts = [value for value in self.args.values() if isinstance(value, str)]
        if any(is_secret(text) or scrub(text) != text for text in texts):
            raise ValueError(
                "`args` holds a password or a key, which would stand in reports and in the store: leave it"
                " out"
            )
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
    def loaded_here(self) -> Weights:
        shared: Mapping[str, object] = {
            name: getattr(self, name) for name in Weights.model_fields if name not in ("engine", "batch_size")
        }
        return Weights.model_validate(shared)

    @property
    def most_positions(self) -> int | None:
        length = self.args.get("max_model_len")
        return length if isinstance(length, int) and length > 0 else None

    def pinned(self, fingerprints: Fingerprints, folder: Path) -> Weights:
        counted = {name: value for name, value in self.args.items() if name not in FASTER}
        return super().pinned(fingerprints, folder).model_copy(update={"counted_args": counted})

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
        if self.base_url is not None:
            return ""
        return f"{super().affinity()}:{json.dumps(self.args, sort_keys=True)}"
