"""YAML text → plain data with a position for every key and every value.

    text ──decode──▶ characters ──dsl.yaml.composer──▶ nodes ──construct──▶ dict, list, str, int, float, bool,
    None
                                                                    + where each stands

A document is a mapping with text as keys. What YAML lets slip through silently is an error here, with its
place and what to write instead: values its versions read differently (`dsl.yaml.scalars`), keys that repeat,
tags, aliases that explode. Every problem found is reported at once; where the text cannot be parsed, that is
the first one met.
"""

import re
import stat
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Literal, TypeAlias

from yaml.reader import Reader

from dsl.errors import Level, Problem, SpecError
from dsl.messages import Path, dotted, shown, ticked
from dsl.yaml.composer import Alias, Fault, Mapping, Node, Sequence, Word, compose
from dsl.yaml.scalars import Ambiguous, Scalar, read_plain

MAX_BYTES = 1_000_000

Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, counted from 1; columns in characters."""

    line: int
    column: int
    file: str


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file's content and where each piece of it stands: what an alias or `<<` brings in stands where
    it was written out."""

    file: str
    data: dict[str, Plain]
    marks: dict[Path, Mark]
    """Mark of every value; `()` is the whole document."""
    key_marks: dict[Path, Mark]
    """Mark of every key of a mapping, under the path of its value."""

    def mark(self, path: Path, on: Literal["value", "key"] = "value") -> Mark:
        """Return the place of a value or its key; for what is not in the file, of the nearest that holds
        it."""
        if on == "key" and path in self.key_marks:
            return self.key_marks[path]
        while path not in self.marks and path:
            path = path[:-1]
        return self.marks.get(path) or Mark(1, 1, self.file)

    def problem(
        self,
        path: Path,
        message: str,
        on: Literal["value", "key"] = "value",
        level: Level = "error",
    ) -> Problem:
        """A problem with what stands at `path`."""
        mark = self.mark(path, on)
        return Problem(mark.file, mark.line, mark.column, dotted(path), message, level)


class FaultyYaml(SpecError):
    """Text that can be parsed, with values in it that YAML's versions read differently and the like."""

    document: Document
    """The part that could be read; null where a value could not."""

    def __init__(self, problems: Iterable[Problem], document: Document) -> None:
        super().__init__(problems)
        self.document = document

    def __reduce__(self) -> tuple[type["FaultyYaml"], tuple[tuple[Problem, ...], Document]]:
        return FaultyYaml, (self.problems, self.document)


def read_yaml(path: FilePath) -> Document:
    """Read a file of at most 1 MB. Raises: SpecError."""
    file = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise SpecError([Problem(file, 0, 0, "", f"this is {kind}; a YAML file is needed.")])
        _check_size(status.st_size, file)
        content = path.read_bytes()
    except FileNotFoundError:
        raise SpecError([Problem(file, 0, 0, "", "no such file.")]) from None
    except (OSError, ValueError) as error:
        # ValueError: a name that no file system takes, such as one with a NUL in it.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError([Problem(file, 0, 0, "", f"cannot be read: {reason}.")]) from None
    return parse_yaml(content, file)


def parse_yaml(text: str | bytes, file: str) -> Document:
    """Parse a document; `file` names it in errors. Raises: SpecError."""
    _check_size(len(text), file)
    characters = _decode(text, file) if isinstance(text, bytes) else text
    characters = characters.lstrip("\ufeff")  # files joined end to end have one each
    places = _Places(characters, file)
    _check_characters(characters, places)
    root, faults = compose(characters)
    builder = _Builder(places, faults)
    data = builder.document(root)
    document = Document(file, data, builder.marks, builder.key_marks)
    if builder.faults:
        raise FaultyYaml(places.problems(builder.faults), document)
    return document


class _Places:
    """Indices of characters → lines and columns as editors count them (PyYAML also counts U+2028 and the like
    as line ends)."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.starts = [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", text))]

    def mark(self, index: int) -> Mark:
        line = bisect_right(self.starts, index)
        return Mark(line, index - self.starts[line - 1] + 1, self.file)

    def problems(self, faults: Iterable[Fault]) -> tuple[Problem, ...]:
        """In the order of the text; what several aliases bring in is said once."""
        once: dict[tuple[int, str], Fault] = {}
        for fault in sorted(faults, key=lambda fault: fault.index):
            once.setdefault((fault.index, fault.message), fault)
        marked = [(self.mark(fault.index), fault) for fault in once.values()]
        return tuple(
            Problem(mark.file, mark.line, mark.column, dotted(fault.path), fault.message)
            for mark, fault in marked
        )


def _check_size(size: int, file: str) -> None:
    if size > MAX_BYTES:
        message = (
            f"{size / 1e6:,.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB is read. Move data to a data file and"
            " name it here."
        )
        raise SpecError([Problem(file, 0, 0, "", message)])


def _decode(content: bytes, file: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        raise SpecError(
            [Problem(file, 0, 0, "", "this looks like UTF-16 or a binary file. Save it as text in UTF-8.")]
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").removeprefix("\ufeff")
        message = (
            f"byte 0x{content[error.start]:02x} (number {error.start + 1} of the file) is not UTF-8. Save the"
            " file as UTF-8."
        )
        raise SpecError(_Places(before, file).problems([Fault(len(before), message)])) from None


def _check_characters(text: str, places: _Places) -> None:
    found = list(Reader.NON_PRINTABLE.finditer(text))
    if found:
        more = f" ({len(found) - 1} more such characters follow)" if len(found) > 1 else ""
        message = f"the character U+{ord(found[0][0]):04X} cannot stand in a YAML file{more}. Remove it."
        raise SpecError(places.problems([Fault(found[0].start(), message)]))


class _Builder:
    """Walks the nodes, collecting where each value stands and what is wrong."""

    def __init__(self, places: _Places, faults: Iterable[Fault]) -> None:
        self.places = places
        self.faults = list(faults)
        self.marks: dict[Path, Mark] = {}
        self.key_marks: dict[Path, Mark] = {}

    def document(self, root: Node | None) -> dict[str, Plain]:
        if root is None and self.faults:
            return {}
        if root is None or (isinstance(root, Word) and root.plain and not root.text):
            self.faults.append(Fault(0, "nothing is in this file; a mapping (`key: value` lines) is needed."))
            return {}
        data = self.value(root, ())
        if isinstance(data, dict):
            return data
        hint = " A space is missing after the colon." if isinstance(data, str) and ":" in data else ""
        self.faults.append(
            Fault(
                root.index, f"the file holds {shown(data)}; a mapping (`key: value` lines) is needed.{hint}"
            )
        )
        return {}

    def value(self, node: Node, path: Path) -> Plain:
        self.marks[path] = self.places.mark(node.index)
        if isinstance(node, Alias):
            node = node.target
        match node:
            case Word():
                return self.scalar(node, path)
            case Sequence():
                return [self.value(item, (*path, index)) for index, item in enumerate(node.items)]
            case Mapping():
                return self.mapping(node, path)

    def mapping(self, node: Mapping, path: Path) -> dict[str, Plain]:
        data: dict[str, Plain] = {}
        for name, (index, value) in self.entries(node, path).items():
            self.key_marks[*path, name] = self.places.mark(index)
            data[name] = self.value(value, (*path, name))
        return data

    def entries(self, node: Mapping, path: Path) -> dict[str, tuple[int, Node]]:
        """Key, its index and the value's node, what `<<` merges in included: own keys win, then the first
        source."""
        own: dict[str, tuple[int, Node]] = {}
        merges: dict[str, tuple[int, Node]] = {}
        for key, value in node.pairs:
            is_merge = isinstance(key, Word) and key.plain and key.text == "<<"
            name = "<<" if is_merge else self.key(key, path)
            here = merges if is_merge else own
            if name is None:
                continue
            if name in here:
                first = self.places.mark(here[name][0])
                message = (
                    f"{ticked(name)} stands here twice, first in line {first.line}, column {first.column}."
                    " Remove one of them."
                )
                self.faults.append(Fault(key.index, message, (*path, name)))
            else:
                here[name] = (key.index, value)
        merged: dict[str, tuple[int, Node]] = {}
        for _, value in merges.values():
            for source in self.sources(value, path):
                merged = {**self.entries(source, path), **merged}
        return {**merged, **own}

    def sources(self, node: Node, path: Path) -> list[Mapping]:
        """The mappings that `<<` merges in."""
        target = node.target if isinstance(node, Alias) else node
        listed = target.items if isinstance(target, Sequence) else [node]
        sources = [item.target if isinstance(item, Alias) else item for item in listed]
        mappings = [source for source in sources if isinstance(source, Mapping)]
        if len(mappings) < len(sources):
            message = (
                "`<<` merges in a mapping or a list of mappings, such as `*base`. Quote it if it is to be a"
                " key."
            )
            self.faults.append(Fault(node.index, message, path))
        return mappings

    def key(self, node: Node, path: Path) -> str | None:
        """A key's text; None, and a fault, where it is anything but text."""
        target = node.target if isinstance(node, Alias) else node
        if not isinstance(target, Word):
            message = (
                f"a {'list' if isinstance(target, Sequence) else 'mapping'} stands where a key is needed."
                " Quote it if text is meant."
            )
            self.faults.append(Fault(node.index, message, path))
            return None
        # true to YAML 1.1 and text to 1.2; keys are text here, and a contrast has a setting `on`. Under
        # `values` stand words of a file, as they are there: true, no, -1
        if target.plain and (target.text == "on" or path[-1:] == ("values",)):
            return target.text
        n_faults = len(self.faults)
        key = self.scalar(target, path)
        if isinstance(key, str):
            return key
        if len(self.faults) == n_faults:
            written = target.text or "(empty)"
            self.faults.append(
                Fault(
                    node.index,
                    f"the key {ticked(written)} is not text to YAML. Put it in double quotes.",
                    path,
                )
            )
        return None

    def scalar(self, word: Word, path: Path) -> Scalar:
        if word.plain:
            try:
                return read_plain(word.text, path)
            except Ambiguous as error:
                self.faults.append(Fault(word.index, str(error), path))
                return None
        if bad := _UNSTORABLE.search(word.text):
            escape = f"`\\u{ord(bad[0]):04x}`"
            message = (
                f"{escape} in quotes is no character that text can hold. Write the character itself, or"
                " remove it."
            )
            self.faults.append(Fault(word.index, message, path))
        return word.text


# Halves of a UTF-16 pair, which cannot be written to a file, and NUL, which no path or database takes.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
