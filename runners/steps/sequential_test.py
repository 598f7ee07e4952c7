"""`sequential_test`: look at a contrast after so many slices, and decide if there is anything left to ask."""

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from dsl.confidence_sequence import ConfidenceSequence
from dsl.data.random_order import in_random_order
from dsl.data.records import Look, Verdict
from dsl.steps.steps import Judged, SequentialTestStep
from runners.store.looks import FILE, last_look
from runners.store.step_io import StepContext, StepResult, read_rows, rewrite_rows


def run(step: SequentialTestStep, context: StepContext, out: Path) -> StepResult:
    """Write `looks.jsonl`, one `Look`. Where the contrast was settled before, it is the look that did."""
    look = last_look(context[step.before]) if step.before else None
    if look is None or not look.is_settled:
        look = _look(step, context)
    rewrite_rows(out / FILE, [look])
    return StepResult(n_rows=1, facts=look.model_dump())


def _look(step: SequentialTestStep, context: StepContext) -> Look:
    of, against = (_scores(side, step.aspect, context) for side in (step.of, step.against))
    both = [item for item in of if item in against]
    differences = {
        item: one - other
        for item in both
        if (one := of[item]) is not None and (other := against[item]) is not None
    }
    ordered = in_random_order(differences, str, step.rule.seed)
    width = step.scale[1] - step.scale[0]
    sequence = ConfidenceSequence([differences[item] for item in ordered], -width, width)
    low, high = sequence.interval()
    excludes, ci_width = step.rule.excludes, step.rule.ci_width
    e_value = sequence.e_value(excludes or 0.0)
    return Look(
        number=len(step.of),
        of=step.rule.looks,
        n=len(differences),
        n_unscored=len(of.keys() | against.keys()) - len(differences),
        estimate=fmean(differences.values()) if differences else None,
        ci_low=low,
        ci_high=high,
        e_value=e_value,
        is_settled=e_value >= 1 / step.alpha if ci_width is None else high - low <= ci_width,
    )


def _scores(side: Iterable[Judged], aspect: str, context: StepContext) -> dict[str, float | None]:
    """Item -> its score on one side; None where it has none."""
    return {
        verdict.item: verdict.score
        for judged in side
        for verdict in read_rows(context[judged.step] / "verdicts.jsonl", Verdict)
        if verdict.judge == judged.judge and verdict.aspect == aspect
    }
