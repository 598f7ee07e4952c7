"""Differences between two steps, in the words of the spec: a setting with its place, or a file's content."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from dsl.checks.load import document_at
from dsl.data.source import FileSource
from dsl.errors import SpecError
from dsl.messages import Path as SpecPath
from dsl.messages import dotted, one_line, shown, written
from dsl.plan.contrasts import asked_first
from dsl.plan.study import Cell, Study
from dsl.spec.experiment import Experiment
from dsl.steps.identity import counted_fields
from dsl.steps.steps import DataStep, GenerateStep, Step
from dsl.steps.training_steps import SftStep
from dsl.values import Value
from dsl.yaml.document import Document, Mark
from dsl.yaml.locate import follow

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a step and the one that was in its place."""

    what: str
    """A setting, as `methods.sft.training.learning_rate`, or what holds other content: a file, code."""
    old: str = ""
    new: str = ""
    """Both values in words; empty where only digests are known."""
    place: str = ""
    """`study.yaml:31:42`, where it is a setting."""

    def __str__(self) -> str:
        values = f": {self.old} → {self.new}" if self.old or self.new else " changed"
        return f"{self.what}{values}{', ' if self.place else ''}{self.place}"


@dataclass(frozen=True, slots=True)
class Difference:
    path: SpecPath
    old: object
    new: object
    owner: Value
    """The value, of the new step, that it is a field of."""


def differences(old: object, new: object, path: SpecPath, owner: Value) -> Iterator[Difference]:
    """Yield the fields that ids cover and that differ, innermost first where both have them."""
    was, now = _parts(old), _parts(new)
    if isinstance(old, Value) and isinstance(new, Value) and _is_extended(type(old), type(new)):
        for part in [name for name in now if name in was]:  # as weights that another engine serves
            yield from differences(was[part], now[part], (*path, part), new)
        return
    if replaced := _replaced(old, new):
        yield from (Difference((*path, place), then, now, owner) for place, then, now in replaced)
    # lists of different lengths differ as a whole
    elif type(old) is type(new) and was and now and (len(was) == len(now) or 0 not in was):
        for part in {**now, **was}:
            inner = new if isinstance(new, Value) else owner
            yield from differences(was.get(part), now.get(part), (*path, part), inner)
    elif old != new:
        yield Difference(path, old, new, owner)


def _replaced(old: object, new: object) -> Sequence[tuple[int, str, str]]:
    """Place, name then and name now where, in sorted lists of as many names, one stands for another."""
    was, now = (_sorted_names(one) for one in (old, new))
    if len(was) != len(now):
        return ()
    gone, come = ([name for name in one if name not in other] for one, other in ((was, now), (now, was)))
    return [(now.index(name), before, name) for before, name in zip(gone, come, strict=True)]


def _sorted_names(value: object) -> Sequence[str]:
    """The names of a list that is sorted and has each once; of anything else none."""
    if not isinstance(value, tuple):
        return ()
    names = [name for name in cast("tuple[object, ...]", value) if isinstance(name, str)]
    return names if names == sorted({*names}) and len(names) == len(cast("tuple[object, ...]", value)) else ()


def _is_extended(one: type[Value], other: type[Value]) -> bool:
    """Test whether one type of values has all fields of another, and further ones."""
    return one is not other and (issubclass(one, other) or issubclass(other, one))


def _parts(value: object) -> Mapping[str | int, object]:
    """A value's fields that ids cover, a mapping's entries, a list's by their place; of others none."""
    if isinstance(value, Value):
        return {name: getattr(value, name) for name in counted_fields(value)}
    if isinstance(value, dict):
        return cast("dict[str | int, object]", value)
    return dict(enumerate(cast("tuple[object, ...]", value))) if isinstance(value, tuple) else {}


def document_of(study: Study) -> Document:
    """Read a planned study's spec over what it extends, with its overrides; without content where it cannot
    be read any more."""
    try:
        return document_at(Path(study.spec_file), study.overrides, [])
    except SpecError:
        return Document(study.spec_file, {}, {}, {})


def sections_of(step: Step, cell: Cell, experiment: Experiment) -> tuple[SpecPath, ...]:
    """Return the sections of the spec that a cell's step is made from, the likeliest first."""
    if isinstance(step, DataStep):
        return tuple(("data", name) for name in experiment.data)
    methods = [asked_first(cell.method, experiment)]
    for method in methods:  # which grows
        methods += [one for one in experiment.methods[method].starts_from if one not in methods]
    if isinstance(step, SftStep):  # the policy's
        methods.reverse()
    model = experiment.models[cell.model]
    which = [name for name in ("base", "instruct") if getattr(model, name, None) is not None]
    return (
        *(("methods", name) for name in methods),
        *(("models", cell.model, name) for name in which),
        *((("decoding",), ()) if isinstance(step, GenerateStep) else ()),
    )


def change_of(difference: Difference, sections: Sequence[SpecPath], document: Document) -> Change:
    """A difference in the words of the spec."""
    if _is_digest(difference.old) and _is_digest(difference.new):
        return Change(_content(difference.owner))
    path = _in_spec(difference, sections, document)
    mark = document.mark(path)
    old, new = (words(value, path) for value in (difference.old, difference.new))
    return Change(dotted(path), old, new, place_of(mark))


def _in_spec(difference: Difference, sections: Sequence[SpecPath], document: Document) -> SpecPath:
    """The setting that a field of a step was made from: the longest end of the field's path that stands in
    one of the sections, with the field's value if any has it; else the field below the first section."""
    suffixes = [difference.path[n:] for n in range(len(difference.path))]
    there = [
        (*section, *suffix)
        for suffix in suffixes
        for section in sections
        if follow(document.data, (*section, *suffix)) is not None
    ]
    same = [path for path in there if follow(document.data, path) == difference.new]
    if found := next(iter([*same, *there]), None):
        return found if found in same else _in_list(found, difference.new, document)
    return (*(sections[0] if sections else ()), *difference.path)


def _in_list(path: SpecPath, value: object, document: Document) -> SpecPath:
    """The place of a value in a list of the spec, which a step may have in another order."""
    values = follow(document.data, path[:-1])
    if isinstance(path[-1], int) and isinstance(values, list) and value in values:
        return (*path[:-1], cast("list[object]", values).index(value))
    return path


def _content(owner: Value) -> str:
    """Name what a digest is of."""
    if isinstance(owner, FileSource):
        return f"data file {one_line(owner.path)}"
    kind = {"PromptText": "prompt text", "Weights": "model folder", "HubSource": "data set"}
    names = ("path", "file", "hub", "language", "judge", "form")
    name = next((str(value) for n in names if (value := getattr(owner, n, None))), "")
    return f"{kind.get(type(owner).__name__, 'content of')} {one_line(name)}"


def words(value: object, path: SpecPath) -> str:
    """A value as it is written, or in outline; no secret."""
    if value is None:
        return "not set"
    if isinstance(value, Value):
        value = value.model_dump(mode="json")
    if isinstance(value, dict | list | tuple):
        return one_line(shown(cast("object", value), path))
    return one_line(written(json.dumps(value, ensure_ascii=False), path))


def place_of(mark: Mark) -> str:
    return one_line(mark.file) + (f":{mark.line}:{mark.column}" if mark.line else "")


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None
