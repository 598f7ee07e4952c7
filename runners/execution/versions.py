"""Versions of the libraries that may change a result, and of xp."""

import contextlib
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from dsl.data.code_fingerprint import DECIDING

RECORDED = ("xp-lab", "torch", "transformers", "trl", "peft", "tokenizers", "duckdb", *DECIDING.values())
"""Distributions whose versions may change a result."""


ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds xp: a git checkout, unless it was installed from a package."""


@functools.cache
def versions() -> dict[str, str]:
    """Name -> version; also the platform and, in a checkout, xp's commit."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in RECORDED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    if (ROOT / ".git").exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # no git here, or not ours to read
            described = (
                "git",
                "-C",
                str(ROOT),
                "describe",
                "--always",
                "--dirty",
                "--abbrev=12",
                "--exclude=*",
            )
            found["xp-lab commit"] = subprocess.run(
                described, capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
    return found
