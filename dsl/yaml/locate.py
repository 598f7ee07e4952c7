"""Locate a pydantic error: in the document, and among the settings that the models allow there.

An error's `loc` mixes keys and list indices with words that stand in no document: the tag of a discriminated
union (`dpo`), the label of another union's member (`list[str]`, `Part`), and `[key]`. Walking the models'
annotations along the `loc` discriminates; where an annotation says nothing, what the document holds
decides.
"""

import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dsl.messages import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document, as the models see it."""

    path: Path
    expected: Any
    """The annotation or the FieldInfo of what belongs here; None where it is not known."""
    owner: type[BaseModel] | None
    """The model of which the path's last part is a setting."""
    kind: str
    """Kind of the owner by its tag, as in `dpo method`; empty without one."""
    choices: tuple[tuple[Path, str], ...]
    """The untagged unions on the way: where, and the label of the member that was tried."""
    is_key: bool
    """The key is meant and not its value."""


def locate(
    loc: Iterable[str | int], data: object, model: Any, prefix: Path = (), *, is_missing: bool = False
) -> Place:
    """Follow an error's `loc` from `prefix`, where `model` was validated. `is_missing`: its last part is not
    in the document."""
    parts = list(loc)
    path, expected, owner, kind = prefix, model, None, ""
    choices: tuple[tuple[Path, str], ...] = ()
    value = follow(data, prefix)
    here = ""  # the tag that narrowed `expected`
    for index, part in enumerate(parts):
        if part == "[key]":
            return Place(path, expected, owner, kind, choices, is_key=True)
        members, discriminator = alternatives(expected)
        if len(members) > 1 and discriminator:
            expected, here = tagged(members, discriminator).get(str(part)), f"{part} {discriminator}"
        elif len(members) > 1:
            choices, expected = (*choices, (path, str(part))), _labelled(members, str(part))
        elif expected is None and not _holds(value, part) and not (is_missing and index == len(parts) - 1):
            choices = (*choices, (path, str(part)))
        else:
            path, value = (*path, part), follow(value, (part,))
            owner, expected = _step(members[0], part)
            kind, here = here, ""
    return Place(path, expected, owner, kind, choices, is_key=False)


def allowed_in(model: type[BaseModel] | None) -> list[str]:
    """The settings a person may write in a mapping of this model."""
    fields = model.model_fields if model else {}
    return [field.alias or name for name, field in fields.items() if not _is_filled_in(field)]


def allowed_below(model: type[BaseModel] | None) -> Iterator[tuple[str, list[str]]]:
    """Yield each setting that is a mapping of settings itself, and those."""
    for name, field in (model.model_fields if model else {}).items():
        for member in alternatives(field)[0]:
            if inner := _model(member):
                yield field.alias or name, allowed_in(inner)


def alternatives(annotation: Any) -> tuple[list[Any], str]:
    """The members of a union without None (one for anything else), and the discriminating key, or the
    empty word."""
    discriminator = ""
    while True:
        if isinstance(annotation, FieldInfo):
            discriminator = annotation.discriminator or discriminator
            annotation = annotation.annotation
        elif get_origin(annotation) is Annotated:
            annotation, *metadata = get_args(annotation)
            named = [
                note.discriminator for note in metadata if isinstance(note, FieldInfo) and note.discriminator
            ]
            discriminator = named[-1] if named else discriminator
        elif get_origin(annotation) in (Union, types.UnionType):
            members = [member for member in get_args(annotation) if member is not types.NoneType]
            if len(members) > 1:
                return members, discriminator if isinstance(discriminator, str) else ""
            annotation = members[0]
        else:
            return [annotation], ""


def tagged(members: Iterable[Any], discriminator: str) -> dict[str, Any]:
    """The members of a discriminated union by their tags, those of unions in it among them."""
    by_tag: dict[str, Any] = {}
    for member in members:
        inner, _ = alternatives(member)
        if len(inner) > 1:
            by_tag |= tagged(inner, discriminator)
        model = _model(member)
        field = model.model_fields.get(discriminator) if model else None
        for tag in get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ():
            by_tag[str(tag)] = member
    return by_tag


def _labelled(members: Iterable[Any], label: str) -> Any:
    for member in members:
        (plain, *others), _ = alternatives(member)
        name = getattr(get_origin(plain) or plain, "__name__", "")
        if (
            not others
            and name
            and (label == name or label.startswith(f"{name}[") or label.endswith(f" {name}]"))
        ):
            return member
    return None


def _step(annotation: Any, part: str | int) -> tuple[type[BaseModel] | None, Any]:
    """The model that `annotation` is, if it is one, and what belongs under `part` of it."""
    if model := _model(annotation):
        by_key = {field.alias or name: field for name, field in model.model_fields.items()}
        return model, by_key.get(str(part))
    origin, inner = get_origin(annotation), list(get_args(annotation))
    if not inner:
        return None, None
    if origin is tuple and inner[-1] is not ...:
        return None, inner[part] if isinstance(part, int) and part < len(inner) else None
    return None, inner[1] if issubclass(origin or object, dict) and len(inner) > 1 else inner[0]


def _model(annotation: Any) -> type[BaseModel] | None:
    (plain, *others), _ = alternatives(annotation)
    return plain if not others and isinstance(plain, type) and issubclass(plain, BaseModel) else None


def _is_filled_in(field: FieldInfo) -> bool:
    """`readOnly` in the schema: the plan fills it in."""
    extra = cast("dict[str, Any] | None", field.json_schema_extra)
    return isinstance(extra, dict) and bool(extra.get("readOnly"))


def _holds(value: object, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and 0 <= part < len(cast("list[object]", value))


def follow(value: object, path: Path) -> object:
    """Return the value at `path`; None where there is nothing."""
    for part in path:
        value = cast("Any", value)[part] if _holds(value, part) else None
    return value
