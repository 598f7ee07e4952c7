"""Look for files of a model's folder that are cut short or missing, by their headers and ends alone."""

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import cast

from dsl.errors import DataError
from dsl.messages import listed

_AGAIN = "Copy or download it again"

_READ = ("*config.json", "tokenizer.json", "vocab.json", "*tokens*.json", "*template.json", "*.index.json")
"""JSON files that libraries read as they load a model; a broken one of another name is nobody's concern."""

_MOST_PARSED = 2**20
"""Bytes of a JSON file that is parsed. Of a larger one, as a tokenizer's, the end is looked at."""

_MOST_HEADER = 100_000_000
"""Bytes of a header that the safetensors library reads."""


def check_model_folder(folder: Path) -> None:
    """Raise DataError for the first file that no library can load, by its name; or where the only weights are
    pickled."""
    for found in _faults(folder):
        raise DataError(found)


@contextlib.contextmanager
def damage_named(folder: Path) -> Generator[None]:
    """Name the first file that is cut short or missing in a folder that libraries cannot load."""
    try:
        yield
    except Exception:  # each library raises its own
        check_model_folder(folder)
        raise


def _faults(folder: Path) -> Iterator[str]:
    for file in sorted({file for name in _READ for file in folder.glob(name)}):
        if (why := _json_fault(file)) is not None:
            yield f"{file}: {why}. {_AGAIN}"
    if any(folder.glob("*.gguf")):  # which of the two is loaded hangs on the engine
        return
    for index in sorted(folder.glob("*.safetensors.index.json")):
        missing = sorted(name for name in _shards(index) if not (folder / name).is_file())
        if missing:
            names = listed(missing, most=3)
            yield f"{index} names {names}: not in the folder. Copy or download what is missing"
    weights = sorted(folder.glob("*.safetensors"))
    for file in weights:
        if (why := _safetensors_fault(file)) is not None:
            yield f"{file}: {why}. {_AGAIN}"
    if not weights and (pickled := sorted(folder.glob("pytorch_model*.bin"))):
        yield (
            f"{pickled[0]}: pickled weights are not loaded, since reading them may run code. Save the model"
            " as safetensors: `model.save_pretrained(FOLDER)` of transformers does"
        )


def _json_fault(file: Path) -> str | None:
    try:
        with file.open("rb") as content:
            if file.stat().st_size > _MOST_PARSED:
                content.seek(-64, 2)
                return None if content.read().rstrip().endswith((b"}", b"]")) else "cut short"
            json.loads(content.read())
    except (OSError, RecursionError):  # reading it says so
        return None
    except ValueError as error:
        return f"no JSON ({error})" if file.stat().st_size else "empty"
    return None


def _shards(index: Path) -> set[str]:
    try:
        found: object = json.loads(index.read_bytes())
    except (OSError, ValueError, RecursionError):
        return set()
    names = cast("Mapping[str, object]", found).get("weight_map") if isinstance(found, dict) else None
    return set(map(str, cast("Mapping[str, object]", names).values())) if isinstance(names, dict) else set()


def _safetensors_fault(file: Path) -> str | None:
    """Say where a file has another length than its header says: 8 bytes with the header's length, the header
    as JSON, and the tensors in one piece."""
    try:
        size = file.stat().st_size
        with file.open("rb") as content:
            n_header = int.from_bytes(content.read(8), "little")
            if size >= 8 and n_header > _MOST_HEADER:
                return "no safetensors"
            if size < 8 + n_header:
                return f"cut short within its header: {size:,} bytes"
            header: object = json.loads(content.read(n_header))
    except OSError:  # reading it says so
        return None
    except (ValueError, RecursionError):
        return "no safetensors"
    if not isinstance(header, dict):
        return "no safetensors"
    tensors = [one for name, one in cast("dict[str, object]", header).items() if name != "__metadata__"]
    try:
        ends = [int(cast("dict[str, list[int]]", one)["data_offsets"][1]) for one in tensors]
    except (KeyError, IndexError, TypeError, ValueError):
        return "no safetensors"
    whole = 8 + n_header + max(ends, default=0)
    if size == whole:
        return None
    return f"{'cut short' if size < whole else 'longer than its header says'}: {size:,} of {whole:,} bytes"
