"""What a planned study could detect: for each of its contrasts the smallest difference it would find four times out of five."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Literal, TypeVar, cast

from dsl.errors import DataError, WarehouseError
from dsl.identity import NOT_COUNTED
from dsl.plan import Cell, ContrastPlan, Diff
from dsl.records import Example
from dsl.rows import examples, read_file
from dsl.settings import JudgeSettings
from dsl.sources import FileSource
from dsl.steps import DataStep, Judged, JudgeStep, Step
from dsl.values import StepId
from runners import registry
from runners.store import Store
from runners.work import read_rows
from warehouse.connect import WAREHOUSE, connect
from warehouse.statistics.power import Spread, judges_measured, minimum_detectable_effect, spreads

_Step = TypeVar("_Step", bound=Step)

ASSUMED_DEVIATION = 0.5
"""Of paired differences, as a part of the scale's width, where nothing was measured: what right-or-wrong scores have whose two methods disagree
on a quarter of the items."""


@dataclass(frozen=True, slots=True)
class Detectable:
    """What one contrast could detect on one measure in one language, on any one model."""

    contrast: str
    dataset: str
    language: str
    measure: str
    """A judge's name, where its aspects are not known yet."""
    n_items: int | None
    """That the judge will judge; None for a data set on the hub that has not been read yet."""
    deviation: float | None
    source: Literal["measured", "pooled", "assumed"]
    """The deviation's: this contrast here, other contrasts on this measure, or `ASSUMED_DEVIATION`, in which case deviation and effect are parts
    of the scale's width."""
    effect: float | None
    """None where too little is known, or there are fewer than five items."""
    effect_corrected: float | None
    """The same when the first step of Holm's correction is to be passed, over all confirmatory tests of the study, every model included. None for
    exploratory tests: what theirs must pass depends on the p-values of the others (Benjamini and Hochberg 1995)."""
    is_confirmatory: bool = True
    """True where the contrast was declared on this measure."""


def power_of(diff: Diff, store: Path) -> tuple[Detectable, ...]:
    """Return what each contrast of a plan could detect: confirmatory tests first, then judge by judge in the order of the study, the quality of
    answers before their errors and lengths."""
    known = _known(diff, store)
    here = [spread for spread in known if spread.experiment == diff.plan.study.experiment]
    rows, n_confirmatory = _planned(diff, known)

    @cache
    def asked(examples_id: StepId) -> Sequence[Example] | None:
        return _examples(diff, store, examples_id)

    found: list[Detectable] = []
    for contrast, cell, judge, measure in rows:
        same = [s for s in here if (s.contrast, s.dataset, s.language) == (contrast.name, cell.dataset, cell.language)]
        deviation, source = _deviation(measure, same, known)
        judged = _judged(diff, cell.judges[judge], _aspect(judge, measure), asked)
        items = None if judged is None else len(judged)
        is_confirmatory = judge in contrast.on
        effect = minimum_detectable_effect(deviation, items) if items else None
        corrected = minimum_detectable_effect(deviation, items, n_confirmatory) if items and is_confirmatory else None
        found.append(
            Detectable(contrast.name, cell.dataset, cell.language, measure, items, deviation, source, effect, corrected, is_confirmatory)
        )
    return tuple(found)


def _known(diff: Diff, store: Path) -> list[Spread]:
    """What the warehouse has measured with the judges of the plan: nothing, where there is none, or none that can be read now.

    A judge of the same name but with other settings, of another study or before a change of this one, may have used another scale.
    """
    if not (store / WAREHOUSE).exists():
        return []
    try:
        with connect(store / WAREHOUSE, read_only=True, patience=0) as connection:
            found, judges = spreads(connection), judges_measured(connection)
    except WarehouseError:  # of another version, or being written just now: a plan can do without
        return []
    settings: dict[tuple[str, int], JudgeSettings] = {}  # most cells share the settings of a judge
    for judge, judged in ((judge, judged) for cell in diff.plan.study.cells for judge, judged in cell.judges.items()):
        one = _step(diff, judged.step, JudgeStep).judges[judged.judge]
        settings[judge, id(one)] = one
    planned: dict[str, set[str]] = {}
    for (judge, _), one in settings.items():
        planned.setdefault(judge, set()).add(_likeness(one.model_dump_json()))
    same = {key for key, all_settings in judges.items() if any(_likeness(s) in planned.get(key[1], ()) for s in all_settings)}
    return [spread for spread in found if (spread.experiment, spread.judge) in same]


_UNLIKE = frozenset({"limit", "language", "sha256"}).union(*NOT_COUNTED.values()) - {"levels", "score_range"}
"""Settings in which a judge may differ from cell to cell, or that change no verdict. Levels and ranges make a scale."""


def _likeness(settings: str) -> str:
    """Settings of a judge as text that is equal where the judge is."""

    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {name: bare(inner) for name, inner in cast("dict[str, object]", value).items() if name not in _UNLIKE}
        return [bare(inner) for inner in cast("list[object]", value)] if isinstance(value, list) else value

    return json.dumps(bare(json.loads(settings)), sort_keys=True)


def _planned(diff: Diff, known: Sequence[Spread]) -> tuple[list[tuple[ContrastPlan, Cell, str, str]], int]:
    """Return contrast, a cell of its first side, judge and measure, each place once: a place is a data set in a language. And the number of
    confirmatory tests: every model and what either side was tuned on is one of its own."""
    found: dict[tuple[str, str, str, str], tuple[ContrastPlan, Cell, str, str]] = {}
    places = {judge: place for place, judge in enumerate(dict.fromkeys(judge for cell in diff.plan.study.cells for judge in cell.judges))}
    order: dict[str, tuple[bool, int]] = {}
    tests: set[tuple[object, ...]] = set()
    cells = diff.plan.study.cells
    judges = {judge.name: judge for judge in diff.plan.study.judges}
    measured: dict[str, dict[str, None]] = {}
    for spread in known:
        measured.setdefault(spread.judge, {})[spread.measure] = None
    for contrast in diff.plan.study.contrasts:
        others: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for cell in cells:
            if cell.method == contrast.against:
                for judge in cell.judges:  # a judge that compares with this method has no verdicts on it
                    others.setdefault((cell.dataset, cell.language, cell.model, judge), set()).add(cell.train_languages)
        for cell in cells:
            if cell.method != contrast.of:
                continue
            for judge in cell.judges:
                here = (cell.dataset, cell.language, cell.model, judge)
                if here in others:
                    described = judges[judge]
                    has_scale = described.role != "measure" and not described.orders_only  # or nothing can be assumed unmeasured
                    for measure in measured.get(judge) or ([judge] if has_scale else []):
                        order[measure] = described.role != "quality", places[judge]
                        found.setdefault((contrast.name, cell.dataset, cell.language, measure), (contrast, cell, judge, measure))
                        if judge in contrast.on:
                            tests |= {(measure, contrast.name, *here, cell.train_languages, theirs) for theirs in others[here]}
    return sorted(found.values(), key=lambda row: (row[2] not in row[0].on, order[row[3]])), len(tests)


def _deviation(measure: str, same: Sequence[Spread], known: Sequence[Spread]) -> tuple[float, Literal["measured", "pooled", "assumed"]]:
    here = [spread for spread in same if spread.measure == measure]
    if here:
        return _pooled(here), "measured"
    anywhere = [spread for spread in known if spread.measure == measure]
    return (_pooled(anywhere), "pooled") if anywhere else (ASSUMED_DEVIATION, "assumed")


def _pooled(found: Sequence[Spread]) -> float:
    return sqrt(sum(spread.df * spread.variance for spread in found) / sum(spread.df for spread in found))


def _aspect(judge: str, measure: str) -> str | None:
    """The aspect that a measure of a judge with several is of."""
    return measure.removeprefix(f"{judge}.").partition(" vs ")[0] if measure.startswith(f"{judge}.") else None


def _judged(diff: Diff, judged: Judged, aspect: str | None, asked: Callable[[StepId], Sequence[Example] | None]) -> frozenset[str] | None:
    """The items that the judge will judge: not those beyond its limit, without what it judges by, or that an aspect is not asked of."""
    step = _step(diff, judged.step, JudgeStep)
    judge = step.judges[judged.judge]
    found = asked(step.examples)
    if found is None:
        return None
    first = found[: judge.limit]
    if not step.verdicts:
        try:
            return frozenset(example.item for example in first if _is_judged(judge, example, aspect))
        except DataError:  # the examples lack a column that aspects are asked by: the step itself will tell
            return None
    # A judge of judges has a score where enough of them have: the majority, where it does not say.
    members = [_judged(diff, read, None, asked) or frozenset() for read in step.verdicts.values()]
    enough = cast("int | None", getattr(judge, "min_judges", None)) or len(members) // 2 + 1
    return frozenset(example.item for example in first if sum(example.item in member for member in members) >= enough)


def _is_judged(judge: JudgeSettings, example: Example, aspect: str | None) -> bool:
    if not all(getattr(example, column) for column in judge.NEEDS):
        return False
    module = registry.judge(judge.judge)
    if not hasattr(module, "applies"):
        return True
    aspects: Mapping[str, object] = module.aspects(judge)
    wanted = [aspect] if aspect in aspects else list(aspects)
    return any(module.applies(judge, name, example) for name in wanted)


def _examples(diff: Diff, store: Path, examples_id: StepId) -> Sequence[Example] | None:
    """The items that are asked: as the data step wrote them, or else from its file."""
    held = Store(store)
    if held.is_done(examples_id):
        return tuple(read_rows(held.step_folder(examples_id) / "examples.jsonl", Example))
    data = _step(diff, examples_id, DataStep)
    if not isinstance(data.source, FileSource):
        return None
    try:
        return tuple(examples(read_file(data.source), data.columns, data.language, data.limit, data.source.path))
    except DataError:  # it changed under the plan: the step itself will tell
        return None


def _step(diff: Diff, step_id: StepId, kind: type[_Step]) -> _Step:
    step = diff.plan.steps[step_id]
    assert isinstance(step, kind)
    return step
