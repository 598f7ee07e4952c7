"""Sizes of models, read without loading them: parameters, layers, width, vocabulary."""

import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from dsl.engines.transformers import Weights

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number of each type."""

ASSUMED_VOCABULARY = 150_000
"""Tokens of a model whose configuration is not on this machine: as Qwen's; others have 32,000 to 262,000."""

_NAMED = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([mb])(?![a-z])", re.IGNORECASE)
"""`135M` or `1.7b` in a name."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Size of one model."""

    n_parameters: int
    n_layers: int
    hidden_size: int
    kv_size: int
    """Numbers that a layer keeps of each token, for keys alone or for values alone."""
    vocabulary: int


def model_size(weights: Weights, counted: Mapping[str, int]) -> ModelSize | None:
    """Return a model's size; None where nothing on this machine says it.

    Args:
        weights: The model.
        counted: Parameters by the name of the weights: of models that were loaded before, or that a spec
            states.
    """
    n_parameters = counted.get(weights.source) or _stated(weights)
    if n_parameters is None:
        return None
    config = _configuration(weights)
    # without a configuration: 12 parameters a layer and squared width, and a width of 64 a layer
    n_layers = config.get("num_hidden_layers") or max(1, round((n_parameters / 49_152) ** (1 / 3)))
    hidden = config.get("hidden_size") or 64 * n_layers
    heads = config.get("num_attention_heads") or 1
    head = config.get("head_dim") or hidden / heads
    return ModelSize(
        n_parameters,
        int(n_layers),
        int(hidden),
        int((config.get("num_key_value_heads") or heads) * head),
        int(config.get("vocab_size") or ASSUMED_VOCABULARY),
    )


def _stated(weights: Weights) -> int | None:
    """Parameters as a name says them, or as many as the bytes of a folder's safetensors hold."""
    files = list(_files(weights))
    for text in (weights.file, weights.source, *(file.name for file in files)):
        if text is not None and (found := _NAMED.search(text.replace("_", "-"))) is not None:
            return int(float(found[1]) * (1e9 if found[2].lower() == "b" else 1e6))
    n_bytes = sum(file.stat().st_size for file in files if file.suffix == ".safetensors")
    dtype = str(_configuration(weights).get("dtype_name") or "float32")
    return n_bytes // BYTES.get(dtype, 2) or None


def _files(weights: Weights) -> Iterator[Path]:
    """Weight files of a folder or a package."""
    if weights.path is not None:
        yield from sorted(Path(weights.path).glob("*.safetensors"))
        yield from sorted(Path(weights.path).glob("*.gguf"))
    elif weights.package is not None:
        with suppress(importlib.metadata.PackageNotFoundError):
            for file in importlib.metadata.distribution(weights.package).files or ():
                if file.suffix in (".gguf", ".safetensors"):
                    yield Path(str(file.locate()))


def configuration_file(path: str | None, hub: str | None, revision: str | None) -> Path | None:
    """Return the `config.json` of a model in a folder or of the hub; None where it is not on this machine."""
    if hub is None:
        return None if path is None else Path(path) / "config.json"
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub, "config.json", revision=revision)
    return Path(found) if isinstance(found, str) else None


def _configuration(weights: Weights) -> dict[str, Any]:
    """Numbers of a model's `config.json`, where it is on this machine; of a model with several parts, those
    of its text."""
    return _read_configuration(weights.path, weights.hub, weights.revision)


@cache
def _read_configuration(path: str | None, hub: str | None, revision: str | None) -> dict[str, Any]:
    file = configuration_file(path, hub, revision)
    if file is None:
        return {}
    try:
        content: object = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    whole = cast("dict[str, Any]", content)
    text = whole.get("text_config")
    config = {**whole, **cast("dict[str, Any]", text)} if isinstance(text, dict) else whole
    numbers: dict[str, Any] = {
        name: value
        for name, value in config.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    return {**numbers, "dtype_name": config.get("dtype") or config.get("torch_dtype")}
