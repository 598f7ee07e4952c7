"""YAML text → a graph of nodes with the index of the character each starts at.

PyYAML scans and parses; the rest is ours.

We compose the graph ourselves to keep what PyYAML's composer throws away (where an alias stands, which tags
were written) and to stop early: a document that nests too deep, or whose aliases stand for too many values,
is refused before anything is expanded.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import yaml

from dsl.messages import Path, written
from dsl.yaml.syntax_errors import in_plain_words

MAX_VALUES = 100_000
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a character of the text."""

    index: int
    message: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Word:
    """A scalar as it was written; `plain` when without quotes and without a tag."""

    index: int
    text: str
    plain: bool
    n_values: int = 1
    depth: int = 1


@dataclass(slots=True)
class Sequence:
    """A list. `n_values` and `depth` count what is in it, itself included, with every alias expanded."""

    index: int
    items: "list[Node]" = field(default_factory=list["Node"])
    n_values: int = 1
    depth: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys and values in their order; keys may repeat and may be any node."""

    index: int
    pairs: "list[tuple[Node, Node]]" = field(default_factory=list["tuple[Node, Node]"])
    n_values: int = 1
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Alias:
    """`*name`: a node from further up, standing here once more."""

    index: int
    target: Word | Sequence | Mapping

    @property
    def n_values(self) -> int:
        return self.target.n_values

    @property
    def depth(self) -> int:
        return self.target.depth


Node: TypeAlias = Word | Sequence | Mapping | Alias


def compose(text: str) -> tuple[Node | None, list[Fault]]:
    """Return the document's top node (none where there is none) and the faults met on the way."""
    composer = _Composer(text)
    try:
        return composer.document(), composer.faults
    except _Stop as stop:
        fault = stop.fault
    except yaml.MarkedYAMLError as error:
        index, message = in_plain_words(error, text)
        fault = Fault(index, message)
    except (ValueError, OverflowError):
        # PyYAML hands the number in an escape such as "\UFFFFFFFF" to chr() as it is.
        fault = Fault(
            composer.index(),
            "this escape is beyond Unicode's last character, `\\U0010FFFF`. Write the character itself.",
        )
    return None, [*composer.faults, fault]


class _Stop(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class _Composer:
    def __init__(self, text: str) -> None:
        self.loader = cast("Any", yaml.SafeLoader(text))
        self.anchors: dict[str, Word | Sequence | Mapping | None] = {}
        """None while the anchored node is being read."""
        self.n_read = 0
        self.faults: list[Fault] = []

    def index(self) -> int:
        return int(self.loader.get_mark().index)

    def document(self) -> Node | None:
        self.loader.get_event()
        if self.loader.check_event(yaml.StreamEndEvent):
            return None
        self.loader.get_event()
        root = self.node((), level=1)
        self.loader.get_event()
        if not self.loader.check_event(yaml.StreamEndEvent):
            index = self.loader.peek_event().start_mark.index
            self.faults.append(
                Fault(
                    index,
                    "a second document starts here; a file holds one. Remove it, or put it in a file of its"
                    " own.",
                )
            )
        return root

    def node(self, path: Path, level: int) -> Node:
        event = self.loader.get_event()
        index = int(event.start_mark.index)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), index, path, level)
        self.n_read += 1
        if self.n_read > MAX_VALUES:
            raise _Stop(
                Fault(
                    index,
                    f"more than {MAX_VALUES:,} values in one file. Move data to a data file and name it"
                    " here.",
                )
            )
        if level > MAX_DEPTH:
            raise _Stop(Fault(index, f"nested more than {MAX_DEPTH} levels deep. Flatten it."))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.check_tag(event, index, path)
        node: Word | Sequence | Mapping
        if isinstance(event, yaml.ScalarEvent):
            node = Word(index, str(event.value), plain=event.style is None and event.tag is None)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(index, path, level)
        else:
            node = self.mapping(index, path, level)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def sequence(self, index: int, path: Path, level: int) -> Sequence:
        node = Sequence(index)
        while not self.loader.check_event(yaml.SequenceEndEvent):
            item = self.node((*path, len(node.items)), level + 1)
            node.items.append(item)
            _count(node, item, path)
        self.loader.get_event()
        return node

    def mapping(self, index: int, path: Path, level: int) -> Mapping:
        node = Mapping(index)
        while not self.loader.check_event(yaml.MappingEndEvent):
            key = self.node(path, level + 1)
            value = self.node((*path, key.text) if isinstance(key, Word) else path, level + 1)
            node.pairs.append((key, value))
            _count(node, key, path)
            _count(node, value, path)
        self.loader.get_event()
        return node

    def alias(self, name: str, index: int, path: Path, level: int) -> Node:
        said = written(f"*{name}", path)
        target = self.anchors.get(name)
        if target is None:
            why = (
                "stands inside the value it names"
                if name in self.anchors
                else "names nothing: no `&` with this name stands above it"
            )
            self.faults.append(
                Fault(index, f"{said} {why}. Write the value out, or quote it if text is meant.", path)
            )
            return Mapping(index)
        if level + target.depth - 1 > MAX_DEPTH:
            raise _Stop(
                Fault(
                    index,
                    f"with {said} written out, this nests more than {MAX_DEPTH} levels deep. Flatten it.",
                    path,
                )
            )
        return Alias(index, target)

    def check_tag(self, event: Any, index: int, path: Path) -> None:
        plain = {yaml.ScalarEvent: "str", yaml.SequenceStartEvent: "seq", yaml.MappingStartEvent: "map"}[
            type(event)
        ]
        if event.tag is None or event.tag == f"tag:yaml.org,2002:{plain}":
            return
        said = written(str(event.tag).replace("tag:yaml.org,2002:", "!!"), path)
        self.faults.append(
            Fault(
                index,
                f"the tag {said} is not read here. Remove it, or quote the value if text is meant.",
                path,
            )
        )


def _count(parent: Sequence | Mapping, child: Node, path: Path) -> None:
    parent.n_values += child.n_values
    parent.depth = max(parent.depth, 1 + child.depth)
    if parent.n_values > MAX_VALUES:
        message = (
            f"aliases (`*name`) make this stand for more than {MAX_VALUES:,} values. Write out what is"
            " needed."
        )
        raise _Stop(Fault(child.index, message, path))
