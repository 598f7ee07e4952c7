"""Architectures that an installed vLLM knows, read from its files: importing it would load torch, which is
another one than ours."""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

_REGISTRY = Path("vllm", "model_executor", "models", "registry.py")
_NAMED = re.compile(r'^\s*"(\w+)": [(\[]', re.MULTILINE)
"""A line of the registry: an architecture, as `config.json` names it, and the module that has it."""


def known_architectures(program: Sequence[str]) -> frozenset[str]:
    """Return the architectures that the vLLM of a program knows; empty where that cannot be read, as of a
    command that is no Python of an environment."""
    for packages in Path(program[0]).parent.parent.glob("lib/python3*/site-packages"):
        with contextlib.suppress(OSError, ValueError):
            return frozenset(_NAMED.findall((packages / _REGISTRY).read_text("utf-8")))
    return frozenset()
