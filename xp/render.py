"""Plans, differences and states as text for a person or JSON for a program. Nothing is computed here that is
not shown."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dsl.messages import one_line
from dsl.plan.contrasts import nothing_compared
from dsl.plan.diff import Diff
from dsl.plan.study import Study
from warehouse.statistics.power import minimum_detectable_effect
from xp.labels import labels_of
from xp.power import ASSUMED, Detectable, few_training_seeds
from xp.studies import Status

if TYPE_CHECKING:  # a plan is shown without loading what would run it
    from xp.adopt import Adopted
    from xp.apply import Applied
    from xp.verify import Verified

MOST_LINES = 60
"""Steps to run that a text plan lists; the rest is counted."""

MOST_POWER_LINES = 12
"""Contrasts and measures whose power a text plan shows."""

KINDS = ("data", "sft", "reference_logps", "dpo", "generate", "judge")


def plan_as_text(diff: Diff, power: Sequence[Detectable] = ()) -> str:
    """The plan in a screenful: the matrix, the steps by kind, what its contrasts could detect, each step to
    run and why."""
    study = diff.plan.study
    methods = tuple(dict.fromkeys(c.method for c in study.cells))
    models = tuple(dict.fromkeys(c.model for c in study.cells))
    lines = [
        f"{study.experiment}" + (f": {one_line(study.question)}" if study.question else ""),
        f"  {_n(len(methods), 'method')}: {', '.join(methods)}",
        (
            f"  {_n(len(models), 'model')}: {', '.join(models)}; {_n(len(study.languages), 'language')}:"
            f" {', '.join(study.languages)}"
        ),
        (
            f"  {_n(len(study.cells), 'cell')}, {_n(len(diff.plan.steps), 'step')}: {len(diff.done)} done,"
            f" {len(diff.todo)} to run"
        ),
    ]
    total = Counter(step.kind for step in diff.plan.steps.values())
    todo = Counter(diff.plan.steps[s].kind for s in diff.todo)
    lines += [
        f"    {kind:<15} {total[kind] - todo[kind]:>6} done {todo[kind]:>6} to run"
        for kind in KINDS
        if total[kind]
    ]
    lines += [f"  note: {one_line(note)}" for note in study.notes]
    lines += [f"  {warning}" for warning in diff.warnings]
    lines += [f"  {line}" for line in diff.reach]
    lines += _contrast_lines(study)
    lines += [f"  {few}"] if (few := few_training_seeds(study)) else []
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
            by = f" by {' and '.join(contrast.by)}" if contrast.by else ""
            by_judges.setdefault(contrast.on, []).append(contrast.name + by)
    lines = [f"  Confirmatory: {_some(names)} on {', '.join(judges)}" for judges, names in by_judges.items()]
    versus_baseline = [contrast for contrast in study.contrasts if not contrast.is_declared]
    exploratory = (
        [f"{_some([c.of for c in versus_baseline])} against {versus_baseline[0].against}"]
        if versus_baseline
        else []
    )
    if len(versus_baseline) < len(study.contrasts):
        exploratory.append(
            "declared contrasts on other measures"
            if by_judges
            else "every contrast: none names a measure it is declared on"
        )
    return [*lines, f"  Exploratory: {'; '.join(exploratory)}"]


def _power_lines(power: Sequence[Detectable]) -> list[str]:
    """A line for each figures, with the measures and contrasts that they are the same for."""
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
        (_some(measures, len(by_measure), "measure"), _some(contrasts, n_contrasts, "contrast"), figures)
        for groups, measures in alike.items()
        for figures, contrasts in groups
    ]
    widths = [max(len(cell[i]) for cell in cells[:MOST_POWER_LINES]) for i in (0, 1)]
    lines = [
        f"    {measures:<{widths[0]}}  {contrasts:<{widths[1]}}  {figures}"
        for measures, contrasts, figures in cells[:MOST_POWER_LINES]
    ]
    if len(cells) > MOST_POWER_LINES:
        lines.append(f"    … and {len(cells) - MOST_POWER_LINES} more lines: `xp plan --json` lists all")
    head = f"  Minimum detectable effect on {_range(sizes)} items ({_level(power)}):"
    return [head, *lines, *_power_notes(power)]


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
            few = _range(sorted({one.n_items for one in hopeless if one.n_items is not None}))
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


def _some(names: Sequence[str], n_all: int = 0, what: str = "") -> str:
    if n_all > 1 and len(names) == n_all:
        return f"every {what}"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _shown(one: Detectable) -> float | None:
    return one.effect_corrected if one.is_confirmatory else one.effect


def _effect(one: Detectable) -> str:
    if one.n_items is None:
        return "?"
    if (effect := _shown(one)) is None:
        return "> scale" if one.could_be_significant else "none"
    return f"{_MARKS[one.source]}{effect:.2g}"


def _range(sizes: Sequence[int]) -> str:
    return f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _level(power: Sequence[Detectable]) -> str:
    n_tests = next((one.n_tests for one in power if one.is_confirmatory), 0)
    holm = (
        f"confirmatory ones at Holm's first step over {_n(n_tests, 'test')}, others uncorrected"
        if n_tests
        else "uncorrected"
    )
    return f"power 80%, paired test, two-sided 5%: {holm}"


def _uncounted(power: Sequence[Detectable]) -> str:
    n_tests = next((one.n_tests for one in power if one.is_confirmatory), 1)
    effects = ", ".join(f"~{minimum_detectable_effect(ASSUMED, n, n_tests):.2g}" for n in (100, 300, 1000))
    return (
        f"  Minimum detectable effect ({_level(power)}): the items are not counted yet; with 100, 300, 1000"
        f" of them {effects} of the scale, assuming {_ASSUMPTION}"
    )


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


def plan_as_json(diff: Diff, power: Sequence[Detectable] = ()) -> str:
    """The plan for a program: cells, what contrasts could detect, every step with its settings, what is done
    and what is left and why."""
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
            "reach": list(diff.reach),
            "contrasts": [contrast.model_dump() for contrast in study.contrasts],
            "nothing_compared": nothing_compared(study),
            "few_training_seeds": few_training_seeds(study),
            "cells": [cell.model_dump() for cell in study.cells],
            "power": [asdict(one) for one in power],
            "steps": steps,
            "todo": list(diff.todo),
        },
        indent=1,
    )


def applied_as_text(diff: Diff, applied: "Applied") -> str:
    """Summary of an apply, with every failure and where its log is."""
    if not diff.todo and not applied.n_done:
        lines = [
            f"Nothing to run: all {len(diff.plan.steps)} steps of {diff.plan.study.experiment} have their"
            " results."
        ]
    else:
        lines = [
            f"{_n(applied.n_done, 'step')} done, {applied.n_failed} failed, {applied.n_skipped} left out"
            " because of them."
        ]
    lines += [f"  {failure}" for failure in applied.failures]
    return "\n".join([*lines, *applied.notes])


def adopted_as_text(adopted: "Adopted") -> str:
    """Summary of an adoption: what was adopted, and what was not and why."""
    lines = [f"Adopted: {_n(adopted.n_answers, 'answer')}, {_n(adopted.n_verdicts, 'verdict')}."]
    lines += [f"  {n:,} not adopted: {why}" for why, n in adopted.left_out.items()]
    return "\n".join([*lines, "Next: `xp apply`, which asks for the rest."])


def status_as_text(status: Status) -> str:
    """A store in a few lines."""
    lines = [
        f"{status.store}: {_n(len(status.studies), 'study', 'studies')}"
        + (f"; {status.holder}" if status.holder else "")
    ]
    for one in status.studies:
        lines.append(f"  {one.study.experiment}: {one.n_done} of {_n(len(one.study.step_ids), 'step')} done")
        lines += [f"    {run.step_id} failed: {run.error}" for run in one.failed]
    return "\n".join([*lines, *status.notes])


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
    return json.dumps(
        {"store": str(status.store), "holder": status.holder, "studies": studies, "notes": status.notes},
        indent=1,
    )


def verified_as_text(verified: "Verified") -> str:
    """Summary of a verification, with everything that does not agree."""
    looked = f"{_n(verified.n_steps, 'step')} verified, {verified.n_judged} of them judged again by rule"
    older = (
        f"; {verified.n_without_digests} were written without digests" if verified.n_without_digests else ""
    )
    return "\n".join([f"{looked}{older}: {_n(len(verified.faults), 'fault')}.", *verified.faults])


def _n(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
