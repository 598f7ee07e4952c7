"""Context of the checks of one experiment: the files it names, and its cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dsl.checks.data.read import Late, ReadRows, not_yet, read_rows
from dsl.data.fingerprints import Fingerprints
from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings
from dsl.methods.base import CellRequest
from dsl.plan.needs import Needs, needs
from dsl.plan.requests import requests
from dsl.spec.experiment import Experiment, Filter
from dsl.values import Language, Name


@dataclass(frozen=True)
class Context:
    """An experiment whose types are valid, and the folder that its relative paths start from."""

    experiment: Experiment
    fingerprints: Fingerprints
    folder: Path
    late: Late = not_yet
    """Rows of the hub and of public files, once their steps have read them."""

    @cached_property
    def requests(self) -> tuple[tuple[CellRequest, Name], ...]:
        """The study's cells, each with its method; none while it names a data set or policy that does not
        exist."""
        e = self.experiment
        if any(name not in e.data for name in e.evaluate) or any(
            not e.methods.keys() >= {*method.starts_from} for method in e.methods.values()
        ):
            return ()
        return tuple(requests(e))

    @cached_property
    def methods(self) -> dict[Name, dict[Name, None]]:
        """Model -> the methods that are tried on it."""
        found: dict[Name, dict[Name, None]] = {}
        for request, method in self.requests:
            found.setdefault(request.model, {})[method] = None
        return found

    @cached_property
    def needs(self) -> Needs:
        """Needs of the cells; while names are wrong, of those with known names."""
        e = self.experiment
        known: dict[str, object] = {
            "evaluate": tuple(name for name in e.evaluate if name in e.data),
            "methods": {
                name: method
                for name, method in e.methods.items()
                if e.methods.keys() >= {*method.starts_from}
            },
            "only": tuple(one for one in e.only if not list(unknown_coordinates(e, one))),
        }
        return needs(e, self.requests or tuple(requests(e.model_copy(update=known))))

    @cached_property
    def data(self) -> dict[Name, dict[Language, ReadRows | DataError]]:
        """Rows of each data set and language that is needed, or why they cannot be read; those of the hub are
        read when their steps run."""
        return read_rows(self.experiment, self.needs.rows, self.fingerprints, self.folder, self.late)

    @cached_property
    def cells(self) -> tuple[tuple[Name, Name, Language], ...]:
        """(model, method, language) of the cells, each once."""
        return tuple(dict.fromkeys((r.model, method, r.language) for r, method in self.requests))

    def pinned(self, judge: Name) -> JudgeSettings:
        """A judge's settings with their fingerprints. Raises DataError where it lacks a file or package."""
        e = self.experiment
        return e.judges[judge].pinned(e.languages, self.fingerprints, self.folder)

    def aspects(self, judge: Name) -> tuple[str, ...] | None:
        """Aspects of a judge's verdicts; None where it lacks a file or package, which is reported
        elsewhere."""
        judges = self.experiment.judges
        try:
            known = {n: self.pinned(n) for n in (judge, *judges[judge].judges()) if n in judges}
            return known[judge].among(known).verdict_aspects()
        except DataError:
            return None


def unknown_coordinates(e: Experiment, cells: Filter) -> Iterator[tuple[str, Name, tuple[Name, ...]]]:
    """Yield (coordinate, name, what is allowed) of the names in a filter that are none of the study's."""
    # while a name in `evaluate` is unknown, those in the filters may still be valid
    asked_of = e.evaluate if set(e.evaluate) <= set(e.data) else tuple(e.data)
    coordinates: dict[str, tuple[Name, ...]] = {
        "dataset": asked_of,
        "language": e.languages,
        "model": tuple(e.models),
        "method": tuple(e.methods),
    }
    for coordinate, allowed in coordinates.items():
        wanted: tuple[Name, ...] | Name | None = getattr(cells, coordinate)
        for name in (wanted,) if isinstance(wanted, str) else wanted or ():
            if name not in allowed:
                yield coordinate, name, allowed
