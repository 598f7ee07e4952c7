"""Provenance of rows: code, device and library versions, written on each, since other steps may reuse it."""

import contextlib
import importlib.metadata
from collections.abc import Iterable
from functools import cache

from dsl.data.code_fingerprint import fingerprint
from dsl.data.records import Completion, Provenance, RefLogps, Verdict
from dsl.steps.steps import Step

COMPUTING = ("torch", "transformers", "trl", "peft")
"""Distributions that compute what a model says or learns."""


def of(step: Step, *, device: object = None, dtype: object = None, commit: object = None) -> Provenance:
    """The provenance of a row that is made now by a step; `device` is named where a model was loaded here."""
    return Provenance(
        code=fingerprint(*step.code),
        device=None if device is None else str(device),
        dtype=None if dtype is None else str(dtype),
        versions={} if device is None else _versions(),
        commit=None if commit is None else str(commit),
    )


def n_of_other_code(rows: Iterable[Completion | Verdict | RefLogps], step: Step) -> int:
    """Count the rows that other code made."""
    here = fingerprint(*step.code)
    return sum(row.provenance is not None and row.provenance.code != here for row in rows)


@cache
def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in COMPUTING:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
