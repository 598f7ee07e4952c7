"""Fingerprints of the files and packages a plan depends on: data, weights, prompt texts, installed versions.

Everything else in a plan comes from the spec. A file's hash is remembered beside its size, times and inode,
so that a plan over gigabytes of local weights reads them once.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from dsl.data.regular_files import open_regular
from dsl.data.written_files import written_aside
from dsl.errors import DataError

_SHA256 = re.compile("[0-9a-f]{64}")

WEIGHTS = frozenset({".safetensors", ".gguf"})

NEVER_READ = (
    *(".*", "*.md", "LICENSE*"),  # what git and the hub keep, and what people read
    *("checkpoint-*", "optimizer.pt", "training_args.bin"),  # what a trainer leaves beside a model
    # weights in forms that are not loaded
    *("pytorch_model*.bin", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.tflite"),
)
"""Names of files and folders in a model folder that change nothing. To count one too many costs a re-run; one
too few, a wrong table."""

RUNNERS = Path(__file__).resolve().parents[2] / "runners"
PROMPT_TEXTS = RUNNERS / "prompting" / "prompt_texts"
"""The prompt text of each language that ships with xp, `<language>.yaml`."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        DataError: the file is missing, is not a regular file, or cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def combined(*digests: str) -> str:
    """SHA-256 over several digests, in hex."""
    return hashlib.sha256(json.dumps(digests, separators=(",", ":")).encode()).hexdigest()


def folder_sha256(folder: Path, fingerprints: "Fingerprints") -> str:
    """SHA-256 over the names and contents of a data set's files, in hex.

    Raises:
        DataError: the folder is missing or empty, or a file cannot be read.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise DataError(f"{folder}: there is no file in such a folder")
    return combined(*(f"{path.relative_to(folder)} {fingerprints.file(path)}" for path in files))


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that can decide what the model says: all but those on the list
    `NEVER_READ`, also in folders below."""

    def is_read(path: Path) -> bool:
        return not any(
            fnmatchcase(part, pattern) for part in path.relative_to(folder).parts for pattern in NEVER_READ
        )

    return sorted(path for path in folder.rglob("*") if is_read(path) and path.is_file())


class Fingerprints:
    """Digests of files and versions of packages, remembered in `memory` (a JSON file) if one is given."""

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._known: dict[str, list[int | str]] = {}
        self._fresh = False
        self.files: set[Path] = set()
        """Those that were asked for, links resolved."""
        if memory is not None:
            # a file cut short by a full disk is only a lost memory
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(memory.read_bytes())
                entries = cast("dict[str, Any]", found).items() if isinstance(found, dict) else ()
                self._known = {key: entry for key, entry in entries if isinstance(entry, list)}

    def file(self, path: Path) -> str:
        """SHA-256 of a file's bytes, in hex.

        Raises:
            DataError: the file is missing or cannot be read.
        """
        try:
            stat = path.stat()
            self.files.add(resolved := path.resolve())
            key, mark = str(resolved), [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
            known = self._known.get(key, [])
            if known[:-1] == mark and _SHA256.fullmatch(str(known[-1])):
                return str(known[-1])
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from error
        digest = file_sha256(path)
        self._known[key] = [*mark, digest]
        self._fresh = True
        return digest

    def folder(self, path: Path) -> str:
        """SHA-256 over the names and contents of a model folder's files: weights, configuration, tokenizer,
        templates, code."""
        files = model_files(path)
        if not files:
            raise DataError(f"{path}: no model files (*.safetensors, *.json, *.gguf) in this folder")
        listing = "\n".join(f"{file.relative_to(path)} {self.file(file)}" for file in files)
        return hashlib.sha256(listing.encode()).hexdigest()

    def package(self, name: str) -> str:
        """The installed version of a distribution.

        Raises:
            DataError: it is not installed; the message says how to install it.
        """
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise DataError(
                f"the package {name} is not installed. Install it: pip install --no-deps {name}"
            ) from error

    def text(self, folder: str, name: str) -> str:
        """SHA-256 of a text that ships with xp: `runners/<folder>/<name>.yaml`."""
        return self.file(RUNNERS / folder / f"{name}.yaml")

    def save(self) -> None:
        """Write the memory down, aside and then moved. On a full disk, or in a folder that may only be read,
        it is lost."""
        if self._memory is not None and self._fresh:
            with contextlib.suppress(OSError):
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                with written_aside(self._memory, is_of_many=True) as aside:
                    aside.write_text(json.dumps(self._known), "utf-8")
                self._fresh = False
