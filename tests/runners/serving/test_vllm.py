"""vLLM's server: the command that starts it, and adapters that it loads."""

import json
import os
import sys
from pathlib import Path

import anyio
import pytest
from pydantic import ValidationError

from dsl.engines.vllm import Settings
from dsl.errors import ServerError, XpError
from dsl.values import Scalar
from runners.http.client import Answered, ApiReply, opened
from runners.serving import servers, vllm
from runners.serving.servers import API, PORT, Models, Running

SERVER = Path(__file__).with_name("vllm_server.py")


def words(settings: Settings) -> list[str]:
    return list(vllm.launch(settings, Path("w"), Path("t")).command)


def test_a_server_is_started_from_an_environment_a_python_or_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "vllm env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    module = ("-m", "vllm.entrypoints.openai.api_server")
    for named, found in (
        (f"'{tmp_path}/vllm env'", (str(python), *module)),
        (f"'{python}'", (str(python), *module)),
        ("vllm serve", ("vllm", "serve")),
    ):
        monkeypatch.setenv(vllm.VARIABLE, named)
        assert vllm.program() == found


def test_a_machine_without_vllm_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(vllm.VARIABLE, raising=False)
    with pytest.raises(XpError, match="vllm-env/bin/pip install vllm"):
        vllm.program()
    monkeypatch.setenv(vllm.VARIABLE, str(tmp_path))
    with pytest.raises(XpError, match="where no Python is"):
        vllm.program()


def test_a_command_has_the_settings_as_vllms_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vllm.VARIABLE, "vllm serve")
    args: dict[str, Scalar] = {"max_model_len": 64, "enforce_eager": True, "enable_chunked_prefill": False}
    asked = words(Settings(hub="a/b", dtype="bfloat16", args=args, lora_rank=12))
    assert asked[:6] == ["vllm", "serve", "--model", "w", "--tokenizer", "t"]
    assert asked[asked.index("--port") + 1] == PORT
    assert asked[asked.index("--host") + 1] == "127.0.0.1"
    assert asked[asked.index("--dtype") + 1] == "bfloat16"
    assert asked[asked.index("--max-lora-rank") + 1] == "16"
    assert asked[-4:] == ["--max-model-len", "64", "--enforce-eager", "--no-enable-chunked-prefill"]
    assert not {"--enable-lora", "--trust-remote-code"} & set(words(Settings(hub="a/b")))
    assert "--trust-remote-code" in words(Settings(hub="a/b", trust_remote_code=True))


def test_every_server_caches_prefixes_and_no_argument_turns_that_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vllm.VARIABLE, "vllm serve")
    for settings in (Settings(hub="a/b"), Settings(hub="a/b", lora_rank=8, args={"max_model_len": 64})):
        assert "--enable-prefix-caching" in words(settings)
    with pytest.raises(ValidationError, match="given to every server by xp"):
        Settings(hub="a/b", args={"enable_prefix_caching": False})


@pytest.mark.parametrize(("rank", "taken"), [(0, 0), (1, 1), (8, 8), (9, 16), (400, 512), (600, 512)])
def test_a_server_takes_adapters_up_to_the_next_rank_that_vllm_has(rank: int, taken: int) -> None:
    assert vllm.largest_rank(Settings(hub="a/b", lora_rank=rank)) == taken


@pytest.mark.slow
def test_an_adapter_is_there_while_it_is_asked_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vllm.VARIABLE, f"{sys.executable} {SERVER}")
    for name, rank in (("small", 4), ("large", 64)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"r": rank}), "utf-8")
    server = servers.running(vllm.launch(Settings(hub="a/b", lora_rank=8), tmp_path, tmp_path), tmp_path)
    seen: list[list[str]] = []

    async def names(server: Running) -> list[str]:
        async with opened(server.server, server.settings, API, Models) as client:
            found = await client.get("v1/models")
            assert isinstance(found, Answered)
            return [model.id for model in found.reply.data if model.parent is not None]

    async def load(adapter: Path) -> None:
        async with (
            opened(server.server, server.settings, API, ApiReply) as client,
            vllm.adapter_loaded(client, f"the {adapter.name}", adapter),
        ):
            seen.append(await names(server))

    try:
        anyio.run(load, tmp_path / "small")
        seen.append(anyio.run(names, server))
        with pytest.raises(ServerError, match="LoRA rank is greater"):
            anyio.run(load, tmp_path / "large")
    finally:
        servers.end()
    assert seen == [["the small"], []]
    assert os.environ.get("VLLM_API_KEY") is None
