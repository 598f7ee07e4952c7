"""A plan's steps as text, with all that is known of its contrasts, and as JSON for a program."""

from collections import Counter
from collections.abc import Sequence

from dsl.messages import one_line
from dsl.plan.contrasts import nothing_compared
from dsl.plan.diff import Diff
from dsl.plan.study import Study
from dsl.steps.training_steps import TRAININGS
from xp.estimates.estimating import Estimates
from xp.power import Detectable, few_training_seeds
from xp.render.estimates import step_in_short
from xp.render.labels import labels_of
from xp.render.plan import head_of
from xp.render.power import power_lines
from xp.render.words import counted, listed

MOST_LINES = 60
"""Steps to run that a text plan lists; the rest is counted."""


KINDS = (
    "data", "pairs", "reference_logps", *TRAININGS, "select", "generate", "judge", "sequential_test",
)  # fmt: skip


def steps_as_text(diff: Diff, power: Sequence[Detectable] = (), estimates: Estimates | None = None) -> str:
    """Matrix, steps by kind, contrasts, minimum detectable effects, each step to run, why, and its cost."""
    study = diff.plan.study
    methods = tuple(dict.fromkeys(c.method for c in study.cells))
    models = tuple(dict.fromkeys(c.model for c in study.cells))
    question, counts = head_of(diff)
    lines = [
        question,
        f"  {counted(len(methods), 'method')}: {', '.join(methods)}",
        (
            f"  {counted(len(models), 'model')}: {', '.join(models)};"
            f" {counted(len(study.languages), 'language')}: {', '.join(study.languages)}"
        ),
        f"  {counts}",
    ]
    total = Counter(step.kind for step in diff.asked.values())
    todo = Counter(diff.plan.steps[s].kind for s in diff.todo)
    lines += [
        f"    {kind:<15} {total[kind] - todo[kind]:>6} done {todo[kind]:>6} to run"
        for kind in KINDS
        if total[kind]
    ]
    lines += [f"  note: {one_line(note)}" for note in study.notes]
    lines += [f"  {one_line(warning)}" for warning in diff.warnings]
    lines += [f"  chosen: {one_line(line)}" for line in diff.chosen]
    lines += [f"  {one_line(line)}" for line in diff.reach]
    lines += _contrast_lines(study)
    lines += [f"  {few}"] if (few := few_training_seeds(study)) else []
    lines += power_lines(power)
    if not diff.todo:
        return "\n".join([*lines, "Nothing to run: every step has its result."])
    lines.append("To run:")
    names = labels_of(diff)
    for step_id in diff.todo[:MOST_LINES]:
        found = None if estimates is None else estimates.steps.get(step_id)
        cost = step_in_short(found) if found is not None else ""
        lines.append(
            f"  {step_id}  {one_line(names.get(step_id, ''))}  ({one_line(diff.why(step_id))})"
            f"{': ' if cost else ''}{cost}"
        )
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
    lines = [f"  Confirmatory: {listed(names)} on {', '.join(judges)}" for judges, names in by_judges.items()]
    also: dict[tuple[str, ...], list[str]] = {}
    for contrast in study.contrasts:
        if contrast.differs:
            also.setdefault(contrast.differs, []).append(contrast.name)
    lines += [f"  {listed(names)}: the two sides differ in {', '.join(d)} too" for d, names in also.items()]
    versus_baseline = [contrast for contrast in study.contrasts if not contrast.is_declared]
    exploratory = (
        [f"{listed([c.of for c in versus_baseline])} against {versus_baseline[0].against}"]
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
