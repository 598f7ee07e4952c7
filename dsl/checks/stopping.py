"""Checks of the rule by which a study stops asking."""

from collections import Counter
from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.judges.contract import Scale, scale_text
from dsl.plan.contrasts import shared_methods
from dsl.plan.stopping import measure_of, sides_of
from dsl.spec.experiment import Contrast
from dsl.steps.stopping import StopWhen
from dsl.values import Name

_AT = ("stop_when", "contrast")


def stopping_faults(context: Context) -> Iterator[Fault]:
    """Check that a stopping contrast is of two methods with one cell each, on one measure with a scale."""
    experiment = context.experiment
    rule = experiment.stop_when
    if rule is None:
        return
    if rule.contrast not in experiment.contrasts:
        yield from unknown_name(_AT, rule.contrast, experiment.contrasts, "contrast")
        return
    sides = sides_of(experiment)
    if sides is None or experiment.contrasts[rule.contrast].by:
        yield Fault(_AT, f"`{rule.contrast}` is no difference of two methods: only such a one can stop")
        return
    yield from _measure(context)
    for name, contrast in experiment.contrasts.items():
        methods = _methods(context, contrast)
        if contrast.by and not methods.isdisjoint(sides):
            yield Fault(
                ("contrasts", name, "by"),
                f"`{rule.contrast}` stops the asking of a method of this contrast, whose changes with"
                f" {' and '.join(contrast.by)} are tested for a fixed number of items. Leave out `by`, or"
                " `stop_when`",
            )
    n_cells = Counter(
        (request.dataset, request.language, request.model, method)
        for request, method in context.requests
        if method in sides
    )
    for (dataset, language, model, method), n in n_cells.items():
        if n > 1:
            yield Fault(
                _AT,
                f"`{method}` has {n} cells in `{language}` on `{model}` for `{dataset}` (seeds, turns,"
                " `noise` or languages tuned on); a contrast that stops has one on each side",
            )
            break
    if experiment.reuse != "any":
        yield Fault(("reuse",), "slices are judged again from cached rows, so `stop_when` needs `reuse: any`")


def _methods(context: Context, contrast: Contrast) -> set[Name]:
    if isinstance(contrast.of, str) and isinstance(contrast.against, str):
        return {contrast.of, contrast.against}
    return {*shared_methods(contrast, context.methods)}


def _measure(context: Context) -> Iterator[Fault]:
    experiment = context.experiment
    assert experiment.stop_when is not None
    measure = measure_of(experiment)
    contrast = experiment.stop_when.contrast
    if measure is None:
        yield Fault(_AT, f"`{contrast}` is declared on several measures, or on none. Name one: `on: [judge]`")
        return
    judge = experiment.judges[measure[0]]
    if judge.opponents() or judge.judges() or judge.is_people() or judge.judge == "recorded":
        yield Fault(_AT, f"`{measure[0]}` does not judge one answer by itself, so it cannot decide to stop")
    elif (scale := judge.scale(measure[1])) is None:
        yield Fault(_AT, f"`{measure[0]}` has no lowest and highest score: a confidence sequence needs both")
    elif judge.limit is not None:
        yield Fault(_AT, f"`{measure[0]}` has a `limit`: it would leave out items that are asked")
    else:
        yield from _limits(experiment.stop_when, measure[0], scale)


def _limits(rule: StopWhen, judge: Name, scale: Scale) -> Iterator[Fault]:
    """Check that the first look does not settle the contrast whatever it finds."""
    width = scale[1] - scale[0]
    found = f"`{judge}` scores {scale_text(scale)}, so a difference is between {-width:g} and {width:g}"
    if rule.excludes is not None and abs(rule.excludes) > width:
        yield Fault(
            ("stop_when", "excludes"), f"{found}: {rule.excludes:g} is excluded before any item is asked"
        )
    if rule.ci_width is not None and rule.ci_width >= 2 * width:
        yield Fault(("stop_when", "ci_width"), f"{found}: name a width below {2 * width:g}")
