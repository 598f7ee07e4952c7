"""Further inputs of a judge step: other methods' answers to compare with, and texts that probe a judge."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import yaml

from dsl.data.fingerprints import RUNNERS
from dsl.judges.contract import JudgeSettings
from dsl.methods.base import CellRequest
from dsl.spec.experiment import Experiment
from dsl.values import Language, Name


class Comparisons:
    """Finds each cell's opponents.

    Two methods are compared once: the one with more seeds is judged against the other, so that every seed is;
    of equals, the later by name.
    """

    def __init__(self, experiment: Experiment, asked: Iterable[tuple[CellRequest, Name]]) -> None:
        self._methods = tuple(sorted(experiment.methods))
        self._cells: dict[tuple[Name, Language, Name, int | None, Name], list[CellRequest]]
        self._cells = defaultdict(list)
        for request, method in asked:
            if request.replicate:
                continue
            place = (request.dataset, request.language, request.model, request.turn)
            self._cells[*place, method].append(request)

    def of(self, judge: JudgeSettings, request: CellRequest, method: Name) -> dict[Name, CellRequest] | None:
        """Opponent -> its cell, of the same seed where it has one, else of the lowest; None for a judge that
        compares nothing."""
        wanted = judge.opponents()
        if wanted == ():
            return None
        named = self._methods if wanted == "all" else wanted
        n_seeds = len(self._in(request, method))
        found: dict[Name, CellRequest] = {}
        for other in named:
            cells = self._in(request, other)
            if cells and (method not in named or (len(cells), other) < (n_seeds, method)):
                found[other] = min(cells, key=lambda cell: (cell.seed != request.seed, cell.seed or 0))
        return found

    def _in(self, request: CellRequest, method: Name) -> list[CellRequest]:
        """A method's cells in the place of another's, one for each seed."""
        place = (request.dataset, request.language, request.model, request.turn)
        return self._cells.get((*place, method), [])


@cache
def plants() -> tuple[str, ...]:
    """The texts that can be planted."""
    return tuple(sorted(path.stem for path in (RUNNERS / "judges" / "probes").glob("*.yaml")))


@cache
def planted_text(plant: str, language: Language) -> str:
    """The text of `runners/judges/probes/<plant>.yaml` in a language; in English where it has none."""
    texts: dict[str, str] = yaml.safe_load(
        (RUNNERS / "judges" / "probes" / f"{plant}.yaml").read_text("utf-8")
    )
    return texts.get(language, texts["en"])
