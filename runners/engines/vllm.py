"""`vllm`: weights of this machine behind a vLLM server, which is started, asked and ended here, or runs
already."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from dsl.engines.contract import ServerSettings
from dsl.engines.vllm import Settings
from dsl.errors import DataError
from runners.engines import _vllm_api
from runners.engines._served_weights import Served, ServedEngine, resolve
from runners.http.client import ApiReply, Client
from runners.http.server import Server
from runners.serving import servers, vllm

__all__ = ["Engine", "resolve"]


class Engine(ServedEngine[Settings]):
    """Asks the weights, or a tuned model as an adapter on them, or merged into a folder of its own."""

    API = _vllm_api
    MAX_CONCURRENCY = 256  # as many as vLLM runs at once by default

    def __init__(self, settings: Settings, tuned: Path | None, cache: Path) -> None:
        """Load tokenizer and configuration.

        Raises:
            DataError: the weights cannot be loaded, or a server that runs already would have to serve others.
        """
        from runners.models import merged_weights
        from runners.models.weight_files import source_folder

        # before the tokenizer, which may be converted with them
        self._folder = source_folder(settings.loaded_here, cache) if settings.is_started else None
        super().__init__(settings, cache)
        self._tuned = tuned
        rank = vllm.largest_rank(settings) if self._folder is not None else 2**31
        self._adapter = None if tuned is None else merged_weights.plain_adapter(tuned, rank)
        if tuned is not None and self._adapter is None and self._folder is None:
            raise DataError(
                f"{tuned.name} is no LoRA adapter that a running server can load (all weights, an adapter on"
                " an adapter, DoRA, or layers that are saved as a whole). Leave `base_url` out, and one is"
                " started for it"
            )
        self.facts["served_as"] = (
            "weights" if tuned is None else "adapter" if self._adapter else "merged weights"
        )

    def _launch(self) -> servers.Launch:
        """Return the start of a server of the weights, or of the folder that holds them tuned."""
        from runners.models import merged_weights

        assert self._folder is not None
        folder = self._folder
        if self._tuned is not None and self._adapter is None:
            folder = merged_weights.merged_folder(self._weights, self._tuned, self._cache)
        return vllm.launch(self._settings, folder, self._folder)

    async def _described(self, server: Server, address: ServerSettings) -> tuple[str, int | None, str]:
        model, version = await vllm.described(server, address)
        return model.id, model.max_model_len, f"vllm {version}"

    def _named(
        self, served: Served
    ) -> tuple[str, Callable[[Client[ApiReply]], AbstractAsyncContextManager[None]]]:
        adapter = self._adapter
        if adapter is None:
            return served.model, lambda client: nullcontext()
        name = f"{adapter.parent.name}-{secrets.token_hex(4)}"
        return name, lambda client: vllm.adapter_loaded(client, name, adapter)
