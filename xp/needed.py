"""Items, training seeds or judge repeats that would detect an effect, and what they would cost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil, sqrt
from pathlib import Path

from dsl.data.warehouse_address import warehouse_in
from dsl.errors import WarehouseError
from dsl.plan.diff import Diff
from dsl.plan.study import Cell
from dsl.steps.steps import JudgeStep
from dsl.values import Name, StepId
from warehouse.connect import connect
from warehouse.statistics.power import POWER, Variation, power
from warehouse.statistics.repeat_noise import RepeatNoise, repeat_noise
from xp.estimates.estimating import Estimate, Estimates, estimates_of
from xp.plan.overview import Overview
from xp.power import Detectable

MOST_ITEMS = 1_000_000
MOST_SEEDS = 100
MOST_REPEATS = 100
"""Numbers beyond which none is said to be enough."""


@dataclass(frozen=True, slots=True)
class Enough:
    """Smallest number of something that detects an effect."""

    n: int
    n_now: int
    more: Estimate
    """Estimate of what is missing; nothing where `n_now` is enough."""


@dataclass(frozen=True, slots=True)
class Needed:
    """Three ways to detect an effect with one contrast on one measure in one language, each by itself."""

    contrast: str
    dataset: str
    language: str
    measure: str
    effect: float
    is_assumed: bool
    """True where nothing was measured, and the effect is a part of the scale's width."""
    items: Enough | None
    """None where no number of items is enough, as where the variance between training runs is too large."""
    seeds: Enough | None
    """None where nothing is trained, where the variance between runs was not measured, or where no number is
    enough."""
    repeats: Enough | None
    """None for judges that do not repeat, where their own variance was not measured, or where no number is
    enough."""


NoiseOf = Callable[[Name], RepeatNoise | None]


def needed(
    diff: Diff, effect: float, detectable: Iterable[Detectable], noise: NoiseOf, estimates: Estimates
) -> Iterator[Needed]:
    """Yield what each confirmatory test needs to find a true difference with a probability of 80%.

    Args:
        diff: The plan.
        effect: In the measure's unit.
        detectable: Power of the plan's tests, and the variation of their differences.
        noise: Variance of a judge's repeats on the same answer; None where it was not measured.
        estimates: Of all steps of the plan, made anew.
    """
    for one in detectable:
        if not one.is_confirmatory or one.variation is None:
            continue
        judge = _judge_of(diff, one.measure)
        cells = [*_cells(diff, one)]
        yield Needed(
            one.contrast,
            one.dataset,
            one.language,
            one.measure,
            effect,
            one.source == "assumed",
            _items(one, one.variation, effect, _cost(estimates, _asking(cells, judge))),
            _seeds(one, one.variation, effect, _cost(estimates, _trained(cells, judge))),
            _repeats(diff, one, one.variation, effect, cells, judge, noise(judge), estimates),
        )


def needed_of(overview: Overview, effect: float, detectable: Iterable[Detectable]) -> tuple[Needed, ...]:
    """Return what each confirmatory test of a plan needs, from what its store has measured."""
    diff, asked = overview.diff, overview.asked
    everything = estimates_of(asked, {}, diff.plan.steps)
    return tuple(needed(diff, effect, detectable, noise_of(diff, asked.store), everything))


def smallest(is_enough: Callable[[int], bool], most: int, least: int = 1) -> int | None:
    """Return the smallest number from `least` to `most` that is enough, where more is never worse; None where
    none is."""
    high = least
    while not is_enough(high):
        if high >= most:
            return None
        high = min(2 * high, most)
    low = max(least - 1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _items(one: Detectable, variation: Variation, effect: float, all_now: Estimate) -> Enough | None:
    n = smallest(lambda n: _finds(one, variation, effect, n, one.n_seeds), MOST_ITEMS, 2)
    return None if n is None else Enough(n, one.n_items or 0, _more(all_now, n, one.n_items or 0))


def _seeds(one: Detectable, variation: Variation, effect: float, all_now: Estimate) -> Enough | None:
    if one.n_seeds is None or one.n_items is None or not variation.over_runs:
        return None
    n_items = one.n_items
    n = smallest(lambda n: _finds(one, variation, effect, n_items, n), MOST_SEEDS, 2)
    return None if n is None else Enough(n, one.n_seeds, _more(all_now, n, one.n_seeds))


def _repeats(
    diff: Diff,
    one: Detectable,
    variation: Variation,
    effect: float,
    cells: Sequence[Cell],
    judge: Name,
    noise: RepeatNoise | None,
    estimates: Estimates,
) -> Enough | None:
    now = _repeats_now(diff, cells, judge)
    if now is None or noise is None or one.n_items is None or one.source == "assumed":
        return None
    n_items = one.n_items

    def is_enough(n: int) -> bool:
        # both answers of a pair are judged, each with a variance of its own
        square = variation.deviation**2 - 2 * noise.variance * (1 / noise.repeats - 1 / n)
        if square <= 0:
            return True
        return _finds(one, replace(variation, deviation=sqrt(square)), effect, n_items, one.n_seeds)

    n = smallest(is_enough, MOST_REPEATS)
    all_now = _cost(estimates, (cell.judges[judge].step for cell in cells if judge in cell.judges))
    return None if n is None else Enough(n, now, _more(all_now, n, now))


def _finds(one: Detectable, variation: Variation, effect: float, n_items: int, n_seeds: int | None) -> bool:
    """Test whether the paired test finds the effect often enough, at the level of its family."""
    if variation.width is not None and effect >= variation.width:
        effect = variation.width
    return power(variation, effect, n_items, one.n_tests, n_seeds) >= POWER


def _more(all_now: Estimate, n: int, n_now: int) -> Estimate:
    """Return what `n - n_now` more cost, each as much as one of those that there are."""
    share = max(0, n - n_now) / n_now if n_now else 0.0
    return replace(
        all_now,
        n_rows=ceil(share * all_now.n_rows),
        n_requests=ceil(share * all_now.n_requests),
        n_prompt_tokens=ceil(share * all_now.n_prompt_tokens),
        n_new_tokens=ceil(share * all_now.n_new_tokens),
        n_train_steps=ceil(share * all_now.n_train_steps),
        seconds=share * all_now.seconds,
        gpu_seconds=share * all_now.gpu_seconds,
        device_seconds=share * all_now.device_seconds,
        n_served_tokens=ceil(share * all_now.n_served_tokens),
        usd=share * all_now.usd,
    )


def _cost(estimates: Estimates, step_ids: Iterable[StepId]) -> Estimate:
    return estimates.total(dict.fromkeys(step_ids))


def _cells(diff: Diff, one: Detectable) -> Iterator[Cell]:
    """Cells on either side of a contrast in one language, on every model."""
    contrast = next(found for found in diff.plan.study.contrasts if found.name == one.contrast)
    for cell in diff.plan.study.cells:
        if (cell.dataset, cell.language) == (one.dataset, one.language) and (
            contrast.has_as("of", cell) or contrast.has_as("against", cell)
        ):
            yield cell


def _asking(cells: Iterable[Cell], judge: Name) -> Iterator[StepId]:
    for cell in cells:
        yield cell.generate
        if judge in cell.judges:
            yield cell.judges[judge].step


def _trained(cells: Sequence[Cell], judge: Name) -> Iterator[StepId]:
    trained = [cell for cell in cells if cell.train and cell.seed is not None]
    return chain((step_id for cell in trained for step_id in cell.train), _asking(trained, judge))


def _judge_of(diff: Diff, measure: str) -> Name:
    """Name of the judge whose measure this is: of the longest name that it begins with."""
    names = [judge.name for judge in diff.plan.study.judges]
    return max((n for n in names if measure == n or measure.startswith(f"{n}.")), key=len)


def _repeats_now(diff: Diff, cells: Iterable[Cell], judge: Name) -> int | None:
    """The number of times that a judge asks its question; None where it has no such setting."""
    for cell in cells:
        if judge in cell.judges:
            judged = cell.judges[judge]
            step = diff.plan.steps[judged.step]
            assert isinstance(step, JudgeStep)
            settings = step.judges[judged.judge]
            return getattr(settings, "repeats", None)
    return None


def noise_of(diff: Diff, store: Path) -> Callable[[str], RepeatNoise | None]:
    """Return how far a judge of the plan's study wavers on the same answer, as the warehouse has it."""
    measured: dict[tuple[str, str], RepeatNoise] = {}
    if warehouse_in(store).exists():
        with suppress(WarehouseError), connect(warehouse_in(store), read_only=True, patience=0) as connection:
            measured = repeat_noise(connection)
    return lambda judge: measured.get((diff.plan.study.experiment, judge))
