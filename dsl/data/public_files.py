"""Public files by their content: where they lie on this machine, and which addresses may be fetched."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from dsl.data.fingerprints import Fingerprints, file_sha256
from dsl.data.paths import FOLDER_VARIABLE
from dsl.errors import DataError


def check_public(url: str) -> None:
    """Raise ValueError where an address is not one of a public file."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or not file_name(url):
        raise ValueError("a public file's address begins with https:// and ends with the file's name")
    if "{" in url:
        raise ValueError(
            "a hash is that of one file, so nothing can be filled in: each language has rows of its own, as"
            " `rows: {en: {url: …, sha256: …}, fr: …}`"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("a public file's address holds no name, key or query: nothing with @, ? or #")


def file_name(url: str) -> str:
    """The name of the file at an address."""
    return PurePosixPath(unquote(urlsplit(url).path)).name


def public_file(url: str, sha256: str) -> Path:
    """The place of a public file: in the folder that XP_DATA names, or else where it is or will be fetched
    to.

    Of that folder's files, those of the same name are tried first. A gzipped one is also found by what is in
    it.
    """
    name = file_name(url)
    kept = cache_folder() / f"{sha256}-{name}"
    if kept.is_file() or not (folder := os.environ.get(FOLDER_VARIABLE)):
        return kept
    fingerprints = Fingerprints(cache_folder() / "digests.json")
    files = sorted(path for path in Path(folder).rglob("[!.]*") if path.is_file())
    by_name = sorted(files, key=lambda path: name not in (path.name, path.stem))
    found = next((path for path in by_name if _is_wanted(path, sha256, fingerprints)), kept)
    fingerprints.save()
    return found


def other_of_its_name(url: str) -> str:
    """Add to a message about a public file that is not here: the folder that XP_DATA names has another one of
    its name."""
    folder, name = os.environ.get(FOLDER_VARIABLE), file_name(url)
    for path in sorted(Path(folder).rglob("[!.]*")) if folder else ():
        if path.is_file() and name in (path.name, path.stem):
            return (
                f". {path}, in the folder that {FOLDER_VARIABLE} names, is another file: its SHA-256 is"
                f" {file_sha256(path)}"
            )
    return ""


def _is_wanted(path: Path, sha256: str, fingerprints: Fingerprints) -> bool:
    try:
        return holds(path, fingerprints.file(path), sha256)
    except DataError:  # one that may not be read is not it
        return False


def holds(path: Path, found: str, sha256: str) -> bool:
    """Test whether a file, or what a gzipped one holds, has a hash. `found` is that of its bytes."""
    return found == sha256 or (path.suffix == ".gz" and _gunzipped_sha256(path) == sha256)


def cache_folder() -> Path:
    """The folder of what was fetched for this user, as the XDG base directories have it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xp" / "files"


def _gunzipped_sha256(path: Path) -> str | None:
    """SHA-256 of what a gzipped file holds, in hex; None where it is none."""
    try:
        with gzip.open(path) as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error):
        return None
