"""Lines of a plan on statistical power: its contrasts' minimum detectable effects."""

from collections.abc import Sequence

from warehouse.statistics.power import minimum_detectable_effect
from xp.power import ASSUMED, Detectable
from xp.render.words import counted, listed, size_range

MOST_POWER_LINES = 12
"""Contrasts and measures whose power a text plan shows."""


def power_lines(power: Sequence[Detectable]) -> list[str]:
    """Table of minimum detectable effects: a row for all measures and contrasts with the same figures."""
    sizes = sorted({one.n_items for one in power if one.n_items is not None})
    if not sizes:
        return [_uncounted(power)] if power else []
    by_measure: dict[tuple[str, str], dict[str, list[Detectable]]] = {}
    for one in power:
        by_measure.setdefault((one.dataset, one.measure), {}).setdefault(one.contrast, []).append(one)
    alike: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
    for (dataset, measure), found in by_measure.items():
        same: dict[str, list[str]] = {}
        for contrast, languages in found.items():
            same.setdefault("  ".join(f"{one.language} {_effect(one)}" for one in languages), []).append(
                contrast
            )
        named = f"{measure} on {dataset}" if len({one.dataset for one in power}) > 1 else measure
        alike.setdefault(
            tuple((figures, tuple(contrasts)) for figures, contrasts in same.items()), []
        ).append(named)
    n_contrasts = len({one.contrast for one in power})
    cells = [
        (listed(measures, len(by_measure), "measure"), listed(contrasts, n_contrasts, "contrast"), figures)
        for groups, measures in alike.items()
        for figures, contrasts in groups
    ]
    widths = [max(len(cell[i]) for cell in cells[:MOST_POWER_LINES]) for i in (0, 1)]
    lines = [
        f"    {measures:<{widths[0]}}  {contrasts:<{widths[1]}}  {figures}"
        for measures, contrasts, figures in cells[:MOST_POWER_LINES]
    ]
    if len(cells) > MOST_POWER_LINES:
        more = counted(len(cells) - MOST_POWER_LINES, "more line")
        lines.append(f"    … and {more}: `xp plan --json` lists all")
    head = f"  Minimum detectable effect on {size_range(sizes)} items ({_level(power)}):"
    return [head, *lines, *_power_notes(power)]


def power_in_short(power: Sequence[Detectable]) -> list[str]:
    """Sentences on the confirmatory tests, or on all where there are none: what they could detect, and how
    many cannot be significant."""
    tested = [one for one in power if one.is_confirmatory] or list(power)
    if not any(one.n_items is not None for one in tested):
        return [_uncounted_in_short(power)] if power else []
    family = "confirmatory" if tested[0].is_confirmatory else "exploratory"
    effects = {effect: one.source for one in tested if (effect := _shown(one)) is not None}
    hopeless = sum(one.could_be_significant is False for one in tested)
    found = (
        " to ".join(
            f"{_MARKS[effects[effect]]}{effect:.2g}" for effect in dict.fromkeys([min(effects), max(effects)])
        )
        if effects
        else "none"
    )
    of_scale = " of the scale, assumed" if "assumed" in effects.values() else ""
    never = f"; {hopeless} of {counted(len(tested), 'test')} can never be significant" if hopeless else ""
    return [f"Minimum detectable effect of {family} contrasts: {found}{of_scale}{never}"]


def _power_notes(power: Sequence[Detectable]) -> list[str]:
    """Sentences that the figures need."""
    notes = [
        note
        for source, note in _SOURCES.items()
        if any(one.source == source and _shown(one) for one in power)
    ]
    for family in ("confirmatory", "exploratory"):
        hopeless = [
            one
            for one in power
            if one.could_be_significant is False and one.is_confirmatory == (family == "confirmatory")
        ]
        if hopeless:
            few = size_range(sorted({one.n_items for one in hopeless if one.n_items is not None}))
            notes.append(
                f"With {few} items, {len(hopeless)} of the {family} comparisons cannot be significant after"
                " correction, whatever the answers"
            )
    if any(one.could_be_significant and _shown(one) is None for one in power):
        notes.append("> scale: no difference within the scale would be found with a probability of 80%")
    if any(
        one.n_seeds is not None and one.n_seeds > 1 and _shown(one) and not one.runs_measured for one in power
    ):
        notes.append(
            "Those of methods trained with several seeds are lower bounds: the variance between training runs"
            " was not measured yet"
        )
    return [f"    {note}" for note in notes]


def _shown(one: Detectable) -> float | None:
    return one.effect_corrected if one.is_confirmatory else one.effect


def _effect(one: Detectable) -> str:
    if one.n_items is None:
        return "?"
    if (effect := _shown(one)) is None:
        return "> scale" if one.could_be_significant else "none"
    return f"{_MARKS[one.source]}{effect:.2g}"


def _level(power: Sequence[Detectable]) -> str:
    n_tests = next((one.n_tests for one in power if one.is_confirmatory), 0)
    holm = (
        f"confirmatory ones at Holm's first step over {counted(n_tests, 'test')}, others uncorrected"
        if n_tests
        else "uncorrected"
    )
    return f"power 80%, paired test, two-sided 5%: {holm}"


def _uncounted(power: Sequence[Detectable]) -> str:
    return f"  Minimum detectable effect ({_level(power)}): {_by_items(power)}, assuming {_ASSUMPTION}"


def _uncounted_in_short(power: Sequence[Detectable]) -> str:
    return f"Minimum detectable effect: {_by_items(power)}, assumed"


def _by_items(power: Sequence[Detectable]) -> str:
    n_tests = next((one.n_tests for one in power if one.is_confirmatory), 1)
    effects = ", ".join(f"~{minimum_detectable_effect(ASSUMED, n, n_tests):.2g}" for n in (100, 300, 1000))
    return f"the items are not counted yet; with 100, 300, 1000 of them {effects} of the scale"


_ASSUMPTION = (
    "scores that differ on a quarter of the items when the methods are equally good, from one end of the"
    " scale to the other"
)


_MARKS = {"measured": "", "pooled": "≈", "assumed": "~"}


_SOURCES = {
    "pooled": "≈ from how much other contrasts on this measure varied",
    "assumed": f"~ as a part of the scale, assuming {_ASSUMPTION}: nothing was measured yet",
}
"""Deviations that were measured on the contrast itself need no note."""
