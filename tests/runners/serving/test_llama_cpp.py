"""llama.cpp's server: the command that starts it."""

from pathlib import Path

import pytest

from dsl.engines.llama_cpp import Settings
from dsl.errors import XpError
from runners.serving import llama_cpp
from runners.serving.servers import PORT


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "llama cpp" / "llama-server"
    found.parent.mkdir()
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setenv(llama_cpp.VARIABLE, f"'{found}'")
    return found


def words(settings: Settings, n_positions: int | None = 512) -> list[str]:
    return list(llama_cpp.launch(settings, Path("w.gguf"), n_positions).command)


def after(option: str, among: list[str]) -> str:
    return among[among.index(option) + 1]


def test_a_server_is_started_by_a_program_a_command_or_what_lies_on_the_path(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert llama_cpp.program() == (str(program),)
    monkeypatch.setenv(llama_cpp.VARIABLE, f"'{program}' --threads 2")
    assert llama_cpp.program() == (str(program), "--threads", "2")
    monkeypatch.delenv(llama_cpp.VARIABLE)
    monkeypatch.setenv("PATH", str(program.parent))
    assert llama_cpp.program() == (str(program),)


def test_a_machine_without_llama_cpp_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(llama_cpp.VARIABLE, raising=False)
    with pytest.raises(XpError, match="there is no `llama-server` here"):
        llama_cpp.program()
    monkeypatch.setenv(llama_cpp.VARIABLE, "nowhere/llama-server")
    with pytest.raises(XpError, match="XP_LLAMA_CPP holds nowhere/llama-server, where no program is"):
        llama_cpp.program()


def test_a_command_has_the_settings_as_options_and_room_for_each_slot(program: Path) -> None:
    asked = words(Settings(hub="a/b", dtype="float16", args={"flash_attn": "off", "mmap": False}))
    assert asked[:3] == [str(program), "--model", "w.gguf"]
    assert (after("--host", asked), after("--port", asked)) == ("127.0.0.1", PORT)
    assert after("--parallel", asked) == str(llama_cpp.N_SLOTS)
    assert after("--ctx-size", asked) == str(512 * llama_cpp.N_SLOTS)
    assert after("--cache-type-k", asked) == after("--cache-type-v", asked) == "f16"
    assert after("--flash-attn", asked) == "off"
    assert "--no-mmap" in asked
    narrow = words(Settings(hub="a/b", batch_size=2, args={"ctx_size": 64, "cache_type_k": "q8_0"}))
    assert (after("--parallel", narrow), after("--ctx-size", narrow)) == ("2", "128")
    assert (after("--cache-type-k", narrow), after("--cache-type-v", narrow)) == ("q8_0", "f32")


@pytest.mark.usefixtures("program")
def test_float32_is_asked_without_flash_attention_which_computes_in_less() -> None:
    assert after("--flash-attn", words(Settings(hub="a/b"))) == "off"
    assert after("--flash-attn", words(Settings(hub="a/b", args={"flash_attn": "auto"}))) == "auto"
    assert "--flash-attn" not in words(Settings(hub="a/b", dtype="bfloat16"))
    # llama.cpp quantises the values with flash attention alone
    assert "--flash-attn" not in words(Settings(hub="a/b", args={"cache_type_v": "q8_0"}))


def test_the_key_is_no_word_of_the_command(program: Path) -> None:
    launch = llama_cpp.launch(Settings(hub="a/b"), Path("w.gguf"), None)
    assert launch.key_variable == "LLAMA_API_KEY"
    assert not {"--api-key", "--api-key-file"} & set(launch.command)
