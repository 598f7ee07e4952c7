"""Plans, differences and states as text for a person or JSON for a program. Nothing is computed here that is not shown."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dsl.contrasts import nothing_compared
from dsl.plan import Diff, Study
from warehouse.statistics.power import minimum_detectable_effect
from xp.labels import labels_of
from xp.power import ASSUMED_DEVIATION, Detectable
from xp.studies import Status

if TYPE_CHECKING:  # a plan is shown without loading what would run it
    from xp.apply import Applied

MOST_LINES = 60
"""Steps to run that a text plan lists; the rest is counted."""

MOST_POWER_LINES = 12
"""Contrasts and measures whose power a text plan shows."""

KINDS = ("data", "sft", "reference_logps", "dpo", "generate", "judge")


def plan_as_text(diff: Diff, power: Sequence[Detectable] = ()) -> str:
    """The plan in a screenful: the matrix, the steps by kind, what its contrasts could detect, each step to run and why."""
    study = diff.plan.study
    methods = tuple(dict.fromkeys(c.method for c in study.cells))
    models = tuple(dict.fromkeys(c.model for c in study.cells))
    lines = [
        f"{study.experiment}" + (f": {study.question}" if study.question else ""),
        f"  {_n(len(methods), 'method')}: {', '.join(methods)}",
        f"  {_n(len(models), 'model')}: {', '.join(models)}; {_n(len(study.languages), 'language')}: {', '.join(study.languages)}",
        f"  {_n(len(study.cells), 'cell')}, {_n(len(diff.plan.steps), 'step')}: {len(diff.done)} done, {len(diff.todo)} to run",
    ]
    total = Counter(step.kind for step in diff.plan.steps.values())
    todo = Counter(diff.plan.steps[s].kind for s in diff.todo)
    lines += [f"    {kind:<15} {total[kind] - todo[kind]:>6} done {todo[kind]:>6} to run" for kind in KINDS if total[kind]]
    lines += [f"  note: {note}" for note in study.notes]
    lines += [f"  {warning}" for warning in diff.warnings]
    lines += _contrast_lines(study)
    lines += _power_lines(power)
    if not diff.todo:
        return "\n".join([*lines, "Nothing to run: every step has its result."])
    lines.append("To run:")
    names = labels_of(diff)
    lines += [f"  {s}  {names.get(s, '')}  ({diff.why(s)})" for s in diff.todo[:MOST_LINES]]
    if len(diff.todo) > MOST_LINES:
        lines.append(f"  … and {len(diff.todo) - MOST_LINES} more: `xp plan --json` lists all")
    return "\n".join(lines)


def _contrast_lines(study: Study) -> list[str]:
    """List what is confirmatory and what is exploratory, or what to add where nothing is compared."""
    if (hint := nothing_compared(study)) is not None:
        return [f"  {hint}"]
    by_judges: dict[tuple[str, ...], list[str]] = {}
    for contrast in study.contrasts:
        if contrast.is_declared and contrast.on:
            by_judges.setdefault(contrast.on, []).append(contrast.name)
    lines = [f"  Confirmatory: {_some(names)} on {', '.join(judges)}" for judges, names in by_judges.items()]
    versus_baseline = [contrast for contrast in study.contrasts if not contrast.is_declared]
    exploratory = [f"{_some([c.of for c in versus_baseline])} against {versus_baseline[0].against}"] if versus_baseline else []
    if len(versus_baseline) < len(study.contrasts):
        exploratory.append(
            "declared contrasts on other measures" if by_judges else "every contrast: none names a measure it is declared on"
        )
    return [*lines, f"  Exploratory: {'; '.join(exploratory)}"]


def _power_lines(power: Sequence[Detectable]) -> list[str]:
    """A line for each figures, with the measures and contrasts that they are the same for."""
    sizes = sorted({one.n_items for one in power if one.n_items is not None})
    if not sizes:
        return [_POWER_UNCOUNTED] if power else []
    by_measure: dict[tuple[str, str], dict[str, list[Detectable]]] = {}
    for one in power:
        by_measure.setdefault((one.dataset, one.measure), {}).setdefault(one.contrast, []).append(one)
    alike: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
    for (dataset, measure), found in by_measure.items():
        same: dict[str, list[str]] = {}
        for contrast, languages in found.items():
            same.setdefault("  ".join(f"{one.language} {_effect(one)}" for one in languages), []).append(contrast)
        named = f"{measure} on {dataset}" if len({one.dataset for one in power}) > 1 else measure
        alike.setdefault(tuple((figures, tuple(contrasts)) for figures, contrasts in same.items()), []).append(named)
    n_contrasts = len({one.contrast for one in power})
    cells = [
        (_some(measures, len(by_measure), "measure"), _some(contrasts, n_contrasts, "contrast"), figures)
        for groups, measures in alike.items()
        for figures, contrasts in groups
    ]
    widths = [max(len(cell[i]) for cell in cells[:MOST_POWER_LINES]) for i in (0, 1)]
    lines = [
        f"    {measures:<{widths[0]}}  {contrasts:<{widths[1]}}  {figures}" for measures, contrasts, figures in cells[:MOST_POWER_LINES]
    ]
    if len(cells) > MOST_POWER_LINES:
        lines.append(f"    … and {len(cells) - MOST_POWER_LINES} more lines: `xp plan --json` lists all")
    hopeless = [one for one in power if one.is_confirmatory and one.n_items and one.effect_corrected is None]
    if hopeless:
        few = _range(sorted({one.n_items for one in hopeless if one.n_items}))
        lines.append(
            f"    With {few} items, {len(hopeless)} of the confirmatory comparisons cannot be significant after Holm's correction, whatever the answers"
        )
    head = f"  Smallest difference that could be detected on {_range(sizes)} items (paired, two-sided 5%, power 80%):"
    return [head, *lines, *(note for source, note in _SOURCES.items() if any(one.source == source for one in power))]


def _some(names: Sequence[str], n_all: int = 0, what: str = "") -> str:
    if n_all > 1 and len(names) == n_all:
        return f"every {what}"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _effect(one: Detectable) -> str:
    if one.effect is None:
        return "?"
    return f"{_MARKS[one.source]}{one.effect:.2g}"


def _range(sizes: Sequence[int]) -> str:
    return f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


_POWER_UNCOUNTED = (
    "  Smallest difference that could be detected (paired, two-sided 5%, power 80%): the items are not counted yet; with 100, 300, 1000 of "
    f"them ~{', ~'.join(f'{minimum_detectable_effect(ASSUMED_DEVIATION, n):.2g}' for n in (100, 300, 1000))} of the scale, assuming differences "
    f"with a standard deviation of {ASSUMED_DEVIATION} of it"
)

_MARKS = {"measured": "", "pooled": "≈", "assumed": "~"}

_SOURCES = {
    "pooled": "    ≈ from how much other contrasts on this measure varied",
    "assumed": f"    ~ as a part of the scale, assuming differences with a standard deviation of {ASSUMED_DEVIATION} of it: nothing was measured yet",
}
"""Deviations that were measured on the contrast itself need no note."""


def plan_as_json(diff: Diff, power: Sequence[Detectable] = ()) -> str:
    """The plan for a program: cells, what contrasts could detect, every step with its settings, what is done and what is left and why."""
    names = labels_of(diff)
    steps: list[dict[str, Any]] = [
        {
            "step_id": step_id,
            "kind": step.kind,
            "name": names.get(step_id, ""),
            "inputs": list(step.inputs),
            "done": step_id in diff.done,
            "why": diff.why(step_id) if step_id not in diff.done else None,
        }
        for step_id, step in diff.plan.steps.items()
    ]
    study = diff.plan.study
    return json.dumps(
        {
            "experiment": study.experiment,
            "question": study.question,
            "notes": list(study.notes),
            "warnings": list(diff.warnings),
            "contrasts": [contrast.model_dump() for contrast in study.contrasts],
            "nothing_compared": nothing_compared(study),
            "cells": [cell.model_dump() for cell in study.cells],
            "power": [asdict(one) for one in power],
            "steps": steps,
            "todo": list(diff.todo),
        },
        ensure_ascii=False,
        indent=1,
    )


def applied_as_text(diff: Diff, applied: "Applied") -> str:
    """How it went, with every failure and where its log is."""
    if not diff.todo and not applied.n_done:
        return f"Nothing to run: all {len(diff.plan.steps)} steps of {diff.plan.study.experiment} have their results."
    lines = [f"{_n(applied.n_done, 'step')} done, {applied.n_failed} failed, {applied.n_skipped} left out because of them."]
    lines += [f"  {failure}" for failure in applied.failures]
    return "\n".join(lines)


def status_as_text(status: Status) -> str:
    """A store in a few lines."""
    lines = [f"{status.store}: {_n(len(status.studies), 'study', 'studies')}" + (f"; {status.holder}" if status.holder else "")]
    for one in status.studies:
        lines.append(f"  {one.study.experiment}: {one.n_done} of {_n(len(one.study.step_ids), 'step')} done")
        lines += [f"    {run.step_id} failed: {run.error}" for run in one.failed]
    return "\n".join(lines)


def status_as_json(status: Status) -> str:
    """The same for a program."""
    studies: list[dict[str, Any]] = [
        {
            "experiment": one.study.experiment,
            "n_steps": len(one.study.step_ids),
            "n_done": one.n_done,
            "failed": {run.step_id: run.error for run in one.failed},
        }
        for one in status.studies
    ]
    return json.dumps({"store": str(status.store), "holder": status.holder, "studies": studies}, ensure_ascii=False, indent=1)


def _n(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
