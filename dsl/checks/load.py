"""A spec file → Experiment, or every problem in it at once.

read YAML (with places) → `extends` → `--set` → types (pydantic) → names, languages, data
(`dsl.checks.experiment`)

A stage drops what it finds invalid and hands the rest to the next one (`dsl.checks.recovery`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from dsl.checks.context import Context
from dsl.checks.data.read import ReadRows
from dsl.checks.experiment import problems_of
from dsl.checks.recovery import drop_invalid
from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Example
from dsl.errors import Problem, SpecError
from dsl.messages import Path as SpecPath
from dsl.messages import dotted, shown, ticked, written
from dsl.plan.compile import Origin
from dsl.spec.engines import WhyNot, not_looked_at, resolved
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name
from dsl.yaml.document import Document, FaultyYaml, Mark, Plain, parse_yaml, read_yaml
from dsl.yaml.validation_errors import explain

MAX_EXTENDS = 8
"""Most files that one spec may extend."""

N_SAMPLED = 50
"""Rows of a sample, at least, where there are so many."""


@dataclass(frozen=True)
class Loaded:
    """A valid spec, and the warnings about it."""

    experiment: Experiment
    origin: Origin
    warnings: tuple[Problem, ...]
    samples: tuple["Sample", ...] = ()
    """Some rows of each data set and language that is read from a file."""


class Sample(NamedTuple):
    """Rows of a data set in a language, evenly spread over it."""

    dataset: Name
    language: Language
    rows: tuple[Example, ...]


def load(
    path: Path,
    overrides: tuple[str, ...] = (),
    fingerprints: Fingerprints | None = None,
    why_not_vllm: WhyNot = not_looked_at,
) -> Loaded:
    """Read and check a spec.

    Args:
        overrides: `key=value` pairs that replace settings, as `decoding.temperature=0.7`; the value is YAML.
        why_not_vllm: What resolves `engine: auto`.

    Raises:
        SpecError: with every problem found. Nothing has been changed.
    """
    fingerprints = fingerprints or Fingerprints()
    faults: list[Problem] = []
    document = document_at(path, overrides, faults)
    try:
        experiment = Experiment.model_validate(document.data)
    except ValidationError as error:
        if faults and "experiment" not in document.data:
            raise SpecError(faults) from None  # no study: its lack of everything says nothing
        faults += _beside(faults, explain(error, document, model=Experiment))
    else:
        if not faults:
            experiment, engines = resolved(experiment, why_not_vllm)
            context = Context(experiment, fingerprints, path.parent)
            problems = problems_of(context, document)
            if errors := [p for p in problems if p.level == "error"]:
                raise SpecError(_in_order(errors, document))
            origin = Origin(
                file=str(path),
                text=path.read_text("utf-8-sig"),
                folder=path.parent,
                overrides=overrides,
                notes=tuple(f"{p.message}." for p in problems if p.level == "note"),
                engines=engines,
            )
            warnings = tuple(p for p in problems if p.level == "warning")
            return Loaded(experiment, origin, warnings, tuple(samples(context)))
    if (rest := drop_invalid(document.data, faults)) is not None:
        experiment, is_own = rest
        found = problems_of(Context(experiment, fingerprints, path.parent), document)
        faults += [p for p in found if p.level == "error" and is_own(p)]
    raise SpecError(_in_order(faults, document))


def samples(context: Context) -> Iterator[Sample]:
    """Some rows of each data set and language that can be read."""
    for name, languages in context.data.items():
        for language, read in languages.items():
            if isinstance(read, ReadRows) and read.rows:
                yield Sample(name, language, read.rows[:: max(1, len(read.rows) // N_SAMPLED)])


def _in_order(problems: Iterable[Problem], document: Document) -> list[Problem]:
    """As the text has them, those of the files it extends after its own."""
    return sorted(problems, key=lambda p: (p.file != document.file, p.file, p.line, p.column))


def _beside(faults: list[Problem], found: Iterable[Problem]) -> list[Problem]:
    """Validation errors other than those about settings that YAML misread, which are reported already."""
    return [
        p
        for p in found
        if not any(p.path == f.path or p.path.startswith((f"{f.path}.", f"{f.path}[")) for f in faults)
    ]


def document_at(path: Path, overrides: tuple[str, ...], faults: list[Problem]) -> Document:
    """Return a spec file over those that it extends, with its overrides.

    What YAML misreads is added to `faults`, and null in the document. Raises SpecError where it cannot be
    parsed.
    """
    document = _read(path, (), faults)
    for override in overrides:
        document = _set(document, override, faults)
    return document


def document_of(text: str, file: str, overrides: tuple[str, ...] = ()) -> Document:
    """Return a spec that was loaded once as it was written, with its overrides; what it extends stays a name.

    Raises:
        SpecError: it cannot be parsed.
    """
    faults: list[Problem] = []
    try:
        document = parse_yaml(text, file)
    except FaultyYaml as error:
        document = error.document
    for override in overrides:
        document = _set(document, override, faults)
    return document


def experiment_name(path: Path, overrides: tuple[str, ...] = ()) -> str:
    """The name of a spec's experiment, though the rest may be wrong or its data be gone. Raises SpecError."""
    faults: list[Problem] = []
    document = document_at(path, overrides, faults)
    name = document.data.get("experiment")
    if not isinstance(name, str):
        raise SpecError(faults or [document.problem(("experiment",), "a study needs its name here, as text")])
    return name


def _read(path: Path, above: tuple[Path, ...], faults: list[Problem]) -> Document:
    """Read a file and merge it over the one that it extends.

    What YAML misreads is added to `faults`, and null in the document.
    """
    try:
        document = read_yaml(path)
    except FaultyYaml as error:
        faults += error.problems
        document = error.document
    if "extends" not in document.data:
        return document
    extends = document.data["extends"]
    if not isinstance(extends, str):
        found = (
            f"found {shown(extends)}; must be one other spec file, as text. Of several, let each extend the"
        )
        raise SpecError([document.problem(("extends",), f"{found} next.")])
    below = path.parent / extends
    if below.resolve() in {p.resolve() for p in (path, *above)}:
        raise SpecError(
            [
                document.problem(
                    ("extends",), f"{below} stands on this file already: specs extend each other in a circle"
                )
            ]
        )
    if len(above) + 1 >= MAX_EXTENDS:
        raise SpecError(
            [document.problem(("extends",), f"more than {MAX_EXTENDS} files on top of each other")]
        )
    if below.resolve().parent != path.parent.resolve():
        raise SpecError(
            [
                document.problem(
                    ("extends",),
                    "the other spec must lie in the same folder, since both name files relative to it",
                )
            ]
        )
    if not below.is_file():
        raise SpecError([*faults, document.problem(("extends",), f"{below}: no such file")])
    base = _read(below, (*above, path), faults)
    data = {key: value for key, value in document.data.items() if key != "extends"}
    marks = {p: m for p, m in document.marks.items() if p[:1] != ("extends",)}
    key_marks = {p: m for p, m in document.key_marks.items() if p[:1] != ("extends",)}
    return _over(base, replace(document, data=data, marks=marks, key_marks=key_marks))


def _over(base: Document, top: Document) -> Document:
    """Merge the upper document over the lower one.

    Mappings are merged, everything else is replaced, a null takes a key away.
    """
    replaced: list[SpecPath] = []
    data = _merge(base.data, top.data, (), replaced)
    assert isinstance(data, dict)

    def kept(marks: dict[SpecPath, Mark]) -> dict[SpecPath, Mark]:
        return {path: mark for path, mark in marks.items() if not any(path[: len(r)] == r for r in replaced)}

    return Document(
        top.file, data, {**kept(base.marks), **top.marks}, {**kept(base.key_marks), **top.key_marks}
    )


def _merge(base: Plain, top: Plain, path: SpecPath, replaced: list[SpecPath]) -> Plain:
    if not (isinstance(base, dict) and isinstance(top, dict)):
        replaced.append(path)
        return top
    merged: dict[str, Plain] = dict(base)
    for key, value in top.items():
        if value is None and key in merged:
            replaced.append((*path, key))
            del merged[key]
        else:
            merged[key] = _merge(merged[key], value, (*path, key), replaced) if key in merged else value
    return merged


def _parts(key: str, data: Plain) -> list[str]:
    """Split a dotted key. Names of the document may hold dots themselves: `models.qwen2.5-0.5b.recorded`."""
    names = [name for name in data if f"{key}.".startswith(f"{name}.")] if isinstance(data, dict) else []
    name = max(names, key=len, default=key.partition(".")[0])
    rest = key[len(name) + 1 :]
    if len(name) == len(key):
        return [name]
    return [name, *_parts(rest, data.get(name) if isinstance(data, dict) else None)]


def _set(document: Document, override: str, faults: list[Problem]) -> Document:
    """Merge one `--set key=value` over a document; one that YAML misreads is added to `faults` instead."""
    key, equals, text = (part.strip() for part in override.partition("="))
    file = f"--set {key}"
    if not equals:
        raise SpecError([_misset(file, f"found {ticked(override)} without a `=`")])
    # a list is replaced as a whole: `--set 'languages=["en", "fr"]'`
    parts = _parts(key, document.data)
    path: SpecPath = tuple(parts)
    if not all(parts):
        raise SpecError([_misset(file, f"found {ticked(key)} for a key, with an empty name in it")])
    try:
        wrapped = parse_yaml(f"value: {text or 'null'}", file)
    except SpecError as error:
        for fault in error.problems:
            found = "" if fault.path else f"found {written(text, path)}; "
            inside = fault.path.removeprefix("value")
            where = dotted(path) + inside if inside else ""
            faults.append(Problem(file, 0, 0, where, f"{found}{fault.message}"))
        return document
    data: Plain = wrapped.data["value"]
    for part in reversed(parts):
        data = {part: data}
    assert isinstance(data, dict)
    # what the override adds on the way to its value stands in it, too
    new = [path[:n] for n in range(1, len(path)) if path[:n] not in document.marks]
    marks: dict[SpecPath, Mark] = {at: Mark(0, 0, file) for at in [*new, path]}
    return _over(document, Document(document.file, data, marks, marks))


def _misset(file: str, found: str) -> Problem:
    return Problem(file, 0, 0, "", f"{found}. Write `--set key=value`, as `--set decoding.temperature=0.7`")
