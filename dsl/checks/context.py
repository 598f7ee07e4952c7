"""Context of the checks of one experiment: the files it names, and its cells."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dsl.data.fingerprints import Fingerprints
from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings
from dsl.methods import Dpo
from dsl.methods.base import CellRequest
from dsl.plan.compile import requests
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name


@dataclass(frozen=True)
class Context:
    """An experiment whose types are valid, and the folder that its relative paths start from."""

    experiment: Experiment
    fingerprints: Fingerprints
    folder: Path

    @cached_property
    def requests(self) -> tuple[tuple[CellRequest, Name], ...]:
        """The study's cells, each with its method; none while it names a data set or policy that does not
        exist."""
        e = self.experiment
        policies = {"base", "instruct", *e.methods}
        if any(name not in e.data for name in e.evaluate) or any(
            isinstance(m, Dpo) and m.policy not in policies for m in e.methods.values()
        ):
            return ()
        return tuple(requests(e))

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
