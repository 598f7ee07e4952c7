"""Statistical power of a planned study: the minimum detectable effect of each of its contrasts."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple, cast

from dsl.data.warehouse_address import warehouse_in
from dsl.errors import WarehouseError
from dsl.judges.contract import JudgeSettings
from dsl.plan.diff import Diff
from dsl.plan.study import Cell, ContrastPlan, Study
from dsl.steps.identity import NOT_COUNTED
from dsl.steps.steps import JudgeStep
from warehouse.statistics.corrections import Correction, arms_of, exploratory
from warehouse.statistics.power import (
    Spread,
    Variation,
    could_be_significant,
    judges_measured,
    minimum_detectable_effect,
    pooled,
    spreads,
)
from xp.plan.asked import Asked, step_of

ASSUMED = Variation(deviation=0.5, size=1, smallest=1, width=1)
"""Variation of paired differences, as parts of the scale's width, where nothing was measured: that of
right/wrong scores whose two methods disagree on a quarter of the items when they are equally good. No scores
with this deviation have less power."""

ENOUGH_SEEDS = 5
"""Training seeds below which a plan warns: with fewer the variance between training runs is hardly known."""


@dataclass(frozen=True, slots=True)
class Detectable:
    """Power of one contrast on one measure in one language, on any one model."""

    contrast: str
    dataset: str
    language: str
    measure: str
    """A judge's name, where its aspects are not known yet."""
    n_items: int | None
    """That the judge will judge; None for a data set on the hub that has not been read yet."""
    n_seeds: int | None
    """Training seeds, of the trained side with the fewer; None where no side is trained."""
    deviation: float | None
    source: Literal["measured", "pooled", "assumed"]
    """The deviation's: this contrast here, other contrasts on this measure, or `ASSUMED`, in which case
    deviation and effect are parts of the scale's width."""
    n_tests: int
    """Tests of its family: the confirmatory or the exploratory tests of the study, every model included."""
    could_be_significant: bool | None
    """False where so few items could not give a significant result after correction, whatever the answers;
    None where they are not counted."""
    effect: float | None
    """Minimum detectable effect before correction; None where it is beyond the scale or nothing could be
    significant after it."""
    effect_corrected: float | None
    """The same at the first step of Holm's correction over `n_tests` tests. None for exploratory tests: what
    theirs must pass depends on the p-values of the others (Benjamini and Hochberg 1995)."""
    is_confirmatory: bool = True
    """True where the contrast was declared on this measure."""
    runs_measured: bool = False
    """True where the variance between training runs is part of the effect."""
    variation: Variation | None = None
    """Variation of its differences."""


def power_of(diff: Diff, store: Path, asked: Asked | None = None) -> tuple[Detectable, ...]:
    """Return what each contrast of a plan could detect.

    Confirmatory tests first, then judge by judge in the order of the study, the quality of answers before
    their errors and lengths. `asked`: the plan's items, where some were read already.
    """
    if not diff.plan.study.contrasts:
        return ()
    known = _known(diff, store)
    here = [spread for spread in known if spread.experiment == diff.plan.study.experiment]
    planned = _planned(diff, known)

    asked = asked or Asked(diff, store)
    found: list[Detectable] = []
    for row in planned.rows:
        contrast, cell, measure = row.contrast, row.cell, row.measure
        if contrast.stop_when is not None:  # it has no number of items to be powerful with
            continue
        same = [
            s
            for s in here
            if (s.contrast, s.dataset, s.language) == (contrast.name, cell.dataset, cell.language)
        ]
        variation, source = _variation(measure, same, known)
        judged = asked.judged(cell.judges[row.judge], _aspect(row.judge, measure))
        n_items = None if judged is None else len(judged)
        is_confirmatory = contrast.is_on(row.judge, measure)
        n_tests, correction = (
            (planned.n_confirmatory, "holm")
            if is_confirmatory
            else (planned.n_exploratory, planned.exploratory)
        )
        possible = None if n_items is None else could_be_significant(n_items, n_tests, correction)

        n = n_items if n_items and possible else 0
        found.append(
            Detectable(
                contrast=contrast.name,
                dataset=cell.dataset,
                language=cell.language,
                measure=measure,
                n_items=n_items,
                n_seeds=row.n_seeds,
                deviation=variation.deviation,
                source=source,
                n_tests=n_tests,
                could_be_significant=possible,
                effect=minimum_detectable_effect(variation, n, 1, row.n_seeds),
                effect_corrected=(
                    minimum_detectable_effect(variation, n, n_tests, row.n_seeds) if is_confirmatory else None
                ),
                is_confirmatory=is_confirmatory,
                runs_measured=variation.over_runs is not None,
                variation=variation,
            )
        )
    return tuple(found)


def few_training_seeds(study: Study) -> str | None:
    """Return, where contrasts touch methods trained with fewer than five seeds, a sentence with what to add
    to the spec; None otherwise."""
    compared = {method for contrast in study.contrasts for method in contrast.methods}
    seeds: dict[str, set[int]] = {}
    for cell in study.cells:
        if cell.train and cell.seed is not None and cell.method in compared:
            seeds.setdefault(cell.method, set()).add(cell.seed)
    few = {method: found for method, found in seeds.items() if len(found) < ENOUGH_SEEDS}
    if not few:
        return None
    used = sorted(set[int]().union(*few.values()))
    wanted = list(dict.fromkeys([*used, *range(ENOUGH_SEEDS)]))[: max(ENOUGH_SEEDS, len(used))]
    fewest = min(len(found) for found in few.values())
    result = (
        "results are for this one trained model"
        if fewest == 1
        else f"{fewest} training runs hardly show how much such runs differ"
    )
    return (
        f"Few training seeds for {', '.join(few)}: {result}. For results about the method, set `seeds:"
        f" {wanted}` in the spec."
    )


def _known(diff: Diff, store: Path) -> list[Spread]:
    """Return what the warehouse has measured with the plan's judges; empty where nothing can be read.

    A judge of the same name but with other settings, of another study or before a change of this one, may
    have used another scale.
    """
    if not warehouse_in(store).exists():
        return []
    from warehouse.connect import connect  # duckdb

    try:
        with connect(warehouse_in(store), read_only=True, patience=0) as connection:
            found, judges = spreads(connection), judges_measured(connection)
    except WarehouseError:  # of another version, or being written just now: a plan can do without
        return []
    settings: dict[tuple[str, int], JudgeSettings] = {}  # most cells share the settings of a judge
    for judge, judged in (
        (judge, judged) for cell in diff.plan.study.cells for judge, judged in cell.judges.items()
    ):
        one = step_of(diff, judged.step, JudgeStep).judges[judged.judge]
        settings[judge, id(one)] = one
    planned: dict[str, set[str]] = {}
    for (judge, _), one in settings.items():
        planned.setdefault(judge, set()).add(_likeness(one.model_dump_json()))
    same = {
        key
        for key, all_settings in judges.items()
        if any(_likeness(s) in planned.get(key[1], ()) for s in all_settings)
    }
    return [spread for spread in found if (spread.experiment, spread.judge) in same]


_UNLIKE = frozenset({"limit", "language", "sha256"}).union(*NOT_COUNTED.values()) - {"levels", "score_range"}
"""Settings in which a judge may differ from cell to cell, or that change no verdict. Levels and ranges make a
scale."""


def _likeness(settings: str) -> str:
    """Settings of a judge as text that is equal where the judge is."""

    def bare(value: object) -> object:
        if isinstance(value, dict):
            return {
                name: bare(inner)
                for name, inner in cast("dict[str, object]", value).items()
                if name not in _UNLIKE
            }
        return [bare(inner) for inner in cast("list[object]", value)] if isinstance(value, list) else value

    return json.dumps(bare(json.loads(settings)), sort_keys=True)


@dataclass(frozen=True, slots=True)
class _Row:
    """One contrast on one measure in one language."""

    contrast: ContrastPlan
    cell: Cell
    """Cell of its first side."""
    judge: str
    measure: str
    n_seeds: int | None


@dataclass(frozen=True, slots=True)
class _Planned:
    """Tests of a study, and the families in which they are corrected."""

    rows: list[_Row]
    """Each place once: a place is a data set in a language."""
    n_confirmatory: int
    """Every model and what either side was tuned on is a test of its own."""
    n_exploratory: int
    exploratory: Correction


def _planned(diff: Diff, known: Sequence[Spread]) -> _Planned:
    found: dict[tuple[str, str, str, str], _Row] = {}
    places = {
        judge: place
        for place, judge in enumerate(
            dict.fromkeys(judge for cell in diff.plan.study.cells for judge in cell.judges)
        )
    }
    order: dict[str, tuple[bool, int]] = {}
    n_tests = {True: 0, False: 0}
    explored: dict[str, tuple[str, str]] = {}
    cells = diff.plan.study.cells
    judges = {judge.name: judge for judge in diff.plan.study.judges}
    seeds: dict[tuple[str, ...], set[int]] = {}
    for cell in cells:
        if cell.train and cell.seed is not None:
            seeds.setdefault((cell.dataset, cell.language, cell.method), set()).add(cell.seed)
    measured: dict[str, dict[str, None]] = {}
    for spread in known:
        measured.setdefault(spread.judge, {})[spread.measure] = None
    for contrast in diff.plan.study.contrasts:
        tests: dict[bool, set[_Test]] = {True: set(), False: set()}
        others: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for cell in cells:
            if contrast.has_as("against", cell):
                model = cell.model if contrast.method is None else contrast.of
                for judge in cell.judges:  # a judge that compares with this method has no verdicts on it
                    others.setdefault((cell.dataset, cell.language, model, judge), set()).add(
                        cell.train_languages
                    )
        for cell in cells:
            if not contrast.has_as("of", cell):
                continue
            trained = [seeds.get((cell.dataset, cell.language, method)) for method in contrast.methods]
            n_seeds = min((len(found) for found in trained if found), default=None)
            for judge in cell.judges:
                here = (cell.dataset, cell.language, cell.model, judge)
                if here in others:
                    described = judges[judge]
                    # or nothing can be assumed unmeasured
                    has_scale = described.role != "measure" and not described.orders_only
                    for measure in measured.get(judge) or described.measures_in(contrast.on) or [judge]:
                        is_confirmatory = contrast.is_on(judge, measure)
                        tests[is_confirmatory] |= {
                            _Test(measure, *here[:3], cell.train_languages, theirs)
                            for theirs in others[here]
                            if contrast.method is None or theirs == cell.train_languages
                        }
                        if has_scale or judge in measured:
                            order[measure] = described.role != "quality", places[judge]
                            # the power of an interaction is not known before its models' scatter is
                            if not contrast.by:
                                place = (contrast.name, cell.dataset, cell.language, measure)
                                found.setdefault(place, _Row(contrast, cell, judge, measure, n_seeds))
        n_tests[True] += _n_tests(tests[True], contrast.by)
        if tests[False] and not contrast.by:
            n_tests[False] += len(tests[False])
            explored[contrast.name] = arms_of(contrast.of, contrast.against, contrast.method)
    rows = sorted(
        found.values(), key=lambda row: (not row.contrast.is_on(row.judge, row.measure), order[row.measure])
    )
    return _Planned(rows, n_tests[True], n_tests[False], exploratory(explored.values()))


class _Test(NamedTuple):
    """One test of a difference."""

    measure: str
    dataset: str
    language: str
    model: str
    of: tuple[str, ...]
    """Languages that its first side was tuned on."""
    against: tuple[str, ...]


def _n_tests(tests: Iterable[_Test], by: Collection[str]) -> int:
    """Count tests of differences, or of what they are declared to change with: over models, between each two
    languages, or both."""
    if "size" in by:
        tests = {test._replace(model="") for test in tests}
    if "language" not in by:
        return len(set(tests))
    alike: dict[_Test, list[_Test]] = {}
    for test in set(tests):
        alike.setdefault(test._replace(language="", of=(), against=()), []).append(test)
    return sum(
        _are_comparable(one, other) for group in alike.values() for one, other in combinations(group, 2)
    )


def _are_comparable(one: "_Test", other: "_Test") -> bool:
    """Test whether there is a gap between two tests' languages: both sides tuned on the same, or each on
    the language it is asked in."""
    sides = ((one.of, other.of), (one.against, other.against))
    own = (one.language,), (other.language,)
    return one.language != other.language and all(
        here == there or (here, there) == own for here, there in sides
    )


def _variation(
    measure: str, same: Sequence[Spread], known: Sequence[Spread]
) -> tuple[Variation, Literal["measured", "pooled", "assumed"]]:
    here = [spread for spread in same if spread.measure == measure]
    if here:
        return pooled(here), "measured"
    anywhere = [spread for spread in known if spread.measure == measure]
    return (pooled(anywhere), "pooled") if anywhere else (ASSUMED, "assumed")


def _aspect(judge: str, measure: str) -> str | None:
    """The aspect that a measure of a judge with several is of."""
    return measure.removeprefix(f"{judge}.").partition(" vs ")[0] if measure.startswith(f"{judge}.") else None
