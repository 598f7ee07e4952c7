"""Base of every value: a frozen model that refuses unknown keys, and the small types specs are made of."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


class Value(BaseModel):
    """An immutable record. Unknown keys are refused; equal content is equal value."""

    HINTS: ClassVar[Mapping[str, str]] = {}
    """Key that people look for here and that is no setting -> sentence with what to write instead."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


_Value = TypeVar("_Value", bound=Value)


def unvalidated(kind: type[_Value], **fields: Any) -> _Value:
    """Make a value of parts that are valid, as of other values: a plan makes tens of thousands, and to check
    each takes longer than all else. A part that must be given is; a dictionary is not that of a default."""
    made, set_field = kind.__new__(kind), object.__setattr__  # a frozen value refuses its own
    defaults, names = _fields(kind)
    set_field(made, "__dict__", defaults | fields)
    set_field(made, "__pydantic_fields_set__", names)
    set_field(made, "__pydantic_extra__", None)
    set_field(made, "__pydantic_private__", None)
    return made


@cache
def _fields(kind: type[Value]) -> tuple[dict[str, Any], set[str]]:
    """A kind's fields in their order with their defaults, those without one as None; and their names."""
    defaults = {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
    }
    return defaults, {*defaults}


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
