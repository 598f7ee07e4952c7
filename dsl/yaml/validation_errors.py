"""Pydantic's errors → problems a person can act on: the place, what was found, what is allowed.

Of a union whose members have no tag, pydantic reports every member's complaints. We keep those of the member
that the value fits best; if it fits none, one problem says all that would be allowed.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dsl import values
from dsl.errors import Problem
from dsl.messages import (
    REDACTED,
    Path,
    is_secret,
    known_as,
    listed,
    nearest,
    secrets_in,
    shown,
    suggest,
    ticked,
    unquoted_braces,
)
from dsl.yaml.descriptions import described
from dsl.yaml.document import Document
from dsl.yaml.locate import Place, allowed_below, allowed_in, alternatives, follow, locate, tagged

__all__ = ["explain", "suggest"]


def explain(
    error: ValidationError, document: Document, prefix: Path = (), model: type[BaseModel] | None = None
) -> tuple[Problem, ...]:
    """Explain pydantic's errors in the part of a document at `prefix`, in the order of the text.

    `model` is the class that was validated: it tells which settings are allowed where. Without it, unknown
    keys get no suggestion.
    """
    secrets = {secret for secret in secrets_in(document.data) if len(secret) > 3}
    findings = [
        _find(details, document, prefix, model, secrets)
        for details in error.errors(include_url=False)
        if not _is_echo(details)
    ]
    problems = {finding.problem(document): None for finding in _best(findings)}
    return tuple(
        sorted(
            problems,
            key=lambda problem: (problem.file != document.file, problem.file, problem.line, problem.column),
        )
    )


@dataclass(frozen=True, slots=True)
class _Finding:
    """One complaint: "found …; must be …. Did you mean …?" """

    path: Path
    must: str
    found: str = ""
    hint: str = ""
    at_key: bool = False
    is_misfit: bool = False
    """It is the wrong sort of value altogether, and not a right sort with something wrong in it."""
    is_missing: bool = False
    choices: tuple[tuple[Path, str], ...] = ()

    def problem(self, document: Document) -> Problem:
        found = f"found {self.found}; " if self.found else ""
        message = (
            f"{found}{self.must}{'' if self.must.endswith(('.', '?', '!')) else '.'} {self.hint}".strip()
        )
        return document.problem(self.path, message, "key" if self.at_key else "value")


def _best(findings: Iterable[_Finding], level: int = 0) -> list[_Finding]:
    """Keep, of an untagged union's members, the errors of the one that fits best."""
    kept: list[_Finding] = []
    unions: dict[Path, dict[str, list[_Finding]]] = {}
    for finding in findings:
        if len(finding.choices) > level:
            where, label = finding.choices[level]
            unions.setdefault(where, {}).setdefault(label, []).append(finding)
        else:
            kept.append(finding)
    for where, by_label in unions.items():
        members = [_best(complaints, level + 1) for complaints in by_label.values()]
        fitting = [
            member
            for member in members
            if not any(finding.is_misfit and finding.path == where for finding in member)
        ] or members
        wrong = [sum(not finding.is_missing for finding in member) for member in fitting]
        closest = [member for member, n_wrong in zip(fitting, wrong, strict=True) if n_wrong == min(wrong)]
        here = [[finding for finding in member if finding.path == where] for member in closest]
        below = [[finding for finding in member if finding.path != where] for member in closest]
        if len(closest) > 1 and all(here) and len({tuple(map(_complaint, member)) for member in below}) == 1:
            kept.append(_either(here))
            kept.extend(_with_one_hint(same) for same in zip(*below, strict=True))
        else:
            kept.extend(min(closest, key=len))
    return kept


def _complaint(finding: _Finding) -> tuple[Path, str]:
    return finding.path, finding.must


def _with_one_hint(same: Sequence[_Finding]) -> _Finding:
    """One complaint of several members: what each of them allows is no hint, a likely meaning is."""
    meant = [finding for finding in same if finding.hint.startswith("Did you mean")]
    return meant[0] if meant else replace(same[0], hint="")


def _either(members: list[list[_Finding]]) -> _Finding:
    """Several ways to put one place right, as one problem."""
    ways = [
        " and ".join(dict.fromkeys(finding.must for finding in member)).replace(" and needs ", " and ")
        for member in members
    ]
    hints = dict.fromkeys(finding.hint for member in members for finding in member if finding.hint)
    meant = [hint for hint in hints if hint.startswith("Did you mean")]
    others = dict.fromkeys(
        way.removeprefix("must be ").removeprefix("needs ") for way in ways if way != ways[0]
    )
    must = " or ".join([ways[0], *others])
    return replace(members[0][0], must=must, hint=" ".join(meant[:1] or hints))


def _is_echo(details: ErrorDetails) -> bool:
    """A list with a bad entry is also called too short, as if the entry were not there."""
    return details["type"] == "too_short" and len(details["input"]) >= details.get("ctx", {})["min_length"]


def _find(details: ErrorDetails, document: Document, prefix: Path, model: Any, secrets: set[str]) -> _Finding:
    is_missing = details["type"] == "missing"
    place = locate(details["loc"], document.data, model, prefix, is_missing=is_missing)
    finding = _about_keys(details, place) or _about_types(details, place) or _about_limits(details, place)
    if finding is None:
        said = str(details.get("ctx", {}).get("error", details["msg"]))
        for secret in secrets:
            said = said.replace(secret, REDACTED)
        finding = _Finding(place.path, re.sub(r"^Input should (?:be|have)", "must be", said))
    # A mapping starts one line below its key; the key is what a person would look for.
    at_key = finding.at_key or place.is_key or isinstance(follow(document.data, finding.path), dict)
    return replace(finding, at_key=at_key, choices=place.choices)


def _about_keys(details: ErrorDetails, place: Place) -> _Finding | None:
    """Settings that are missing or unknown, and tags."""
    ctx = details.get("ctx", {})
    key = str(place.path[-1]) if place.path else ""
    match details["type"]:
        case "missing":
            return _Finding(place.path[:-1], f"needs {ticked(key)}", is_missing=True)
        case "extra_forbidden":
            here = (
                f"{'an' if place.kind[0] in 'aeiou' else 'a'} {place.kind} has no such setting"
                if place.kind
                else "no such setting here"
            )
            known = (
                place.owner.HINTS.get(key) if place.owner and issubclass(place.owner, values.Value) else None
            )
            return _Finding(place.path, here, hint=known or _meant(key, place.owner), at_key=True)
        case "union_tag_not_found":
            discriminator = ctx["discriminator"].strip("'")
            members, _ = alternatives(place.expected)
            one_of = listed(tagged(members, discriminator))
            near = (
                nearest(discriminator, cast("dict[str, Any]", details["input"]))
                if isinstance(details["input"], dict)
                else None
            )
            hint = f"Did you mean {ticked(discriminator)} by {ticked(near)}?" if near else ""
            return _Finding(
                place.path,
                f"needs {ticked(discriminator)}" + (f", one of {one_of}" if one_of else ""),
                hint=hint,
            )
        case "union_tag_invalid":
            discriminator = ctx["discriminator"].strip("'")
            tag = follow(details["input"], (discriminator,))
            return _one_of((*place.path, discriminator), tag, ctx["expected_tags"])
        case "literal_error" | "enum":
            return _one_of(place.path, details["input"], ctx["expected"])
        case _:
            return None


def _meant(key: str, owner: type[BaseModel] | None) -> str:
    """Name what is meant by an unknown setting: one beside it, one that stands a level below, or any."""
    names = allowed_in(owner)
    if not known_as(key, names):
        below = [f"{name}.{known}" for name, inner in allowed_below(owner) for known in known_as(key, inner)]
        if below:
            return f"Did you mean {ticked(below[0])}?"
    return suggest(key, names)


def _one_of(path: Path, value: object, expected: str) -> _Finding:
    """`expected` is pydantic's list: `'a', 'b' or 'c'`."""
    names = re.findall(r"'([^']*)'", expected)
    must = "must be " + ("one of " if len(names) > 1 else "") + (listed(names) or f"`{expected.lower()}`")
    near = nearest(value, names) if isinstance(value, str) else None
    return _Finding(
        path, must, shown(value, path), f"Did you mean {ticked(near)}?" if near else "", is_misfit=True
    )


_SORTS = {
    "text": ("string_type", "string_sub_type", "string_unicode", "bytes_type", "path_type"),
    "a whole number": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "a number": ("float_type", "float_parsing", "finite_number"),
    "`true` or `false`": ("bool_type", "bool_parsing"),
    "a list": ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"),
    "a mapping (`key: value` lines)": (
        "dict_type",
        "mapping_type",
        "model_type",
        "model_attributes_type",
        "dataclass_type",
    ),
    "empty": ("none_required",),
}
_SORT = {error: sort for sort, errors in _SORTS.items() for error in errors}


def _about_types(details: ErrorDetails, place: Place) -> _Finding | None:
    """The wrong sort of value."""
    sort, value = _SORT.get(details["type"]), details["input"]
    if sort is None:
        return None
    hint = ""
    if not is_secret(value, place.path):
        if sort == "text" and isinstance(value, bool | int | float):
            hint = f'Quote it: "{json.dumps(value)}".'
        if sort == "text" and (name := _placeholder(value)):
            hint = "A" + unquoted_braces(f"{{{name}}}")[1:]
        if sort == "a list" and isinstance(value, str) and len(value) <= 40:
            hint = f"Write [{json.dumps(value, ensure_ascii=False)}]."
        if details.get("ctx", {}).get("class_name") == "Rows" and isinstance(value, str):
            hint = f"Write `{{path: {json.dumps(value, ensure_ascii=False)}}}`."
    return _Finding(place.path, f"must be {sort}", shown(value, place.path), hint, is_misfit=True)


def _placeholder(value: object) -> str | None:
    """Return the name in a `{name}` that YAML read as a mapping."""
    entries = list(cast("dict[str, object]", value).items()) if isinstance(value, dict) else []
    return entries[0][0] if len(entries) == 1 and entries[0][1] is None else None


_LIMITS = {
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "multiple_of": "must be a multiple of {multiple_of:g}",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} or fewer characters",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
}
_PATTERNS = {
    get_args(values.Name)[
        1
    ].pattern: "must be letters, digits, `_`, `.` and `-`, and begin with a letter or digit",
    get_args(values.Language)[1].pattern: "must be a language code such as `en` or `pt-BR`",
}


def _about_limits(details: ErrorDetails, place: Place) -> _Finding | None:
    """The right sort of value, out of bounds or in the wrong form."""
    ctx, hint = details.get("ctx", {}), ""
    if details["type"] == "string_pattern_mismatch" and ctx["pattern"] in _PATTERNS:
        must = _PATTERNS[ctx["pattern"]]
        if place.is_key and place.path[0] == "models":
            word = json.dumps(details["input"], ensure_ascii=False)
            hint = f"Give it a name, and write `recorded: {word}` below, which paths have for `{{model}}`."
    elif details["type"] == "string_pattern_mismatch":
        must = f"must match the pattern `{ctx['pattern']}`"
        hint = described(place.owner).get(str(place.path[-1]), "") if place.owner else ""
    elif details["type"] in _LIMITS:
        must = _LIMITS[details["type"]].format(**ctx)
    else:
        return None
    return _Finding(place.path, must, shown(details["input"], place.path), hint)
