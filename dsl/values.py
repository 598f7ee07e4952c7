"""Base of every value: a frozen model that refuses unknown keys, and the small types specs are made of."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


class Value(BaseModel):
    """An immutable record. Unknown keys are refused; equal content is equal value."""

    HINTS: ClassVar[Mapping[str, str]] = {}
    """Key that people look for here and that is no setting -> sentence with what to write instead."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


Scalar = str | int | float | bool
"""A value that a person writes in one word."""


def as_written(value: object) -> str:
    """Return a value as YAML and JSON write it: `true`, and not `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


TemplateArguments = tuple[tuple[str, Scalar], ...]
"""Arguments of a chat template, sorted by name."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$", max_length=80)]
"""A name a person gives: letters, digits, `_`, `.` and `-`. Safe in a file name and in a column."""


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names))


SORTED = AfterValidator(_sorted)
"""For names whose order means nothing."""

NameSet = Annotated[tuple[Name, ...], Field(min_length=1), SORTED]

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
"""A language code (BCP 47, as in `en`, `pt-BR`). Quote it in YAML: a bare `no` is false."""

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z_]+-[0-9a-f]{16}$")]
"""`<kind>-` and the first 16 hex digits of the step's SHA-256."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
