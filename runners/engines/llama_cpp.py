"""`llama_cpp`: a GGUF file of this machine behind llama.cpp's server, which is started, asked and ended
here."""

from __future__ import annotations

from pathlib import Path

from dsl.engines.contract import ServerSettings
from dsl.engines.llama_cpp import Settings
from dsl.errors import DataError
from runners.engines import _llama_cpp_api
from runners.engines._served_weights import ServedEngine, resolve
from runners.http.server import Server
from runners.serving import llama_cpp, servers

__all__ = ["Engine", "resolve"]


class Engine(ServedEngine[Settings]):
    """Asks the weights of the file, with the tokenizer and the chat template that are in it."""

    API = _llama_cpp_api
    MAX_CONCURRENCY = llama_cpp.N_SLOTS

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Load tokenizer and configuration.

        Raises:
            DataError: there is no GGUF file, or a tuned model is named.
        """
        from runners.models.weight_files import gguf_file

        if tuned is not None:
            raise DataError(f"{tuned.name} would be asked with {settings.tuned_elsewhere}")
        self._file = gguf_file(settings.loaded_here, cache)
        super().__init__(settings, cache)
        self.facts["served_as"] = "weights"

    def _launch(self) -> servers.Launch:
        return llama_cpp.launch(self._settings, self._file, self._loaded.n_positions)

    async def _described(self, server: Server, address: ServerSettings) -> tuple[str, int | None, str]:
        model, version = await llama_cpp.described(server, address)
        quantisation = "" if model.meta is None or model.meta.ftype is None else f", {model.meta.ftype}"
        n_positions = None if model.meta is None else model.meta.n_ctx
        return model.id, n_positions, f"llama.cpp {version}{quantisation}"
