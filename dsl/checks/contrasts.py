"""Faults of a study's contrasts, of its primary judges and of its baseline."""

from collections.abc import Collection, Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.messages import Path, suggest
from dsl.plan.compile import languages_of
from dsl.plan.contrasts import FEWEST_MODELS, versus
from dsl.spec.experiment import Experiment
from dsl.values import Name


def contrast_faults(context: Context) -> Iterator[Fault]:
    """Check the names in contrasts, `primary` and `baseline`, and what they can be tested on."""
    experiment = context.experiment
    asked = {method for _, method in context.requests}
    for name, contrast in experiment.contrasts.items():
        for side in ("of", "against"):
            method: Name = getattr(contrast, side)
            if method not in experiment.methods:
                yield Fault(
                    ("contrasts", name, side),
                    f"there is no method `{method}`. {suggest(method, experiment.methods)}",
                )
            elif method not in asked:
                yield Fault(
                    ("contrasts", name, side),
                    f"`{method}` has no cell, so this contrast will be empty",
                    "warning",
                )
        if contrast.of == contrast.against:
            yield Fault(("contrasts", name), f"`{contrast.of}` is compared with itself", on="key")
        yield from _measures(context, ("contrasts", name, "on"), contrast.on or ())
        for why in _untestable(experiment, contrast.by):
            yield Fault(("contrasts", name, "by"), why, "warning")
        if contrast.on is None and not experiment.primary_judges():
            named = f"`on: [{next(iter(experiment.judges))}]`" if experiment.judges else "`on:`"
            why = (
                "no judge of this study is one of quality, so every test of this contrast will be exploratory"
            )
            yield Fault(
                ("contrasts", name),
                f"{why}. Name the judges it is declared on: {named} here, or `primary:` for all contrasts",
                "warning",
                on="key",
            )
    yield from _measures(context, ("primary",), experiment.primary)
    yield from _baseline(experiment, asked)


def _untestable(experiment: Experiment, by: Collection[str]) -> Iterator[str]:
    """Yield why changes of a difference will not be tested: too few models or languages, or items that do not
    pair."""
    asked = [dataset for dataset in experiment.evaluate if dataset in experiment.data]
    n_models, n_languages = (
        len(experiment.models),
        max((len(languages_of(experiment, dataset)) for dataset in asked), default=2),
    )
    if "size" in by and n_models < FEWEST_MODELS:
        yield (
            f"a change with size needs {FEWEST_MODELS} models, and the study has {n_models}: nothing will be"
            " tested"
        )
    if "language" in by and n_languages < 2:
        yield (
            f"a change with language needs 2 languages, and no data set is asked in more than {n_languages}:"
            " nothing will be tested"
        )
    for dataset in asked if {"size", "language"} <= set(by) else ():
        if not experiment.data[dataset].parallel:
            yield (
                "a change with size and language is tested on items that pair across languages, and those of"
                f" `{dataset}` do not (`parallel: false`): nothing will be tested on it"
            )


def _measures(context: Context, path: Path, named: tuple[Name, ...]) -> Iterator[Fault]:
    """Faults of names of judges and of aspects, as `judge.aspect`. A judge's own name may have a dot too."""
    experiment = context.experiment
    for i, name in enumerate(named):
        judge = (
            name
            if name in experiment.judges
            else max((one for one in experiment.judges if name.startswith(f"{one}.")), key=len, default=None)
        )
        if judge is None:
            hint = suggest(name.partition(".")[0], experiment.judges) or "The study has no judges."
            yield Fault((*path, i), f"there is no judge `{name}`. {hint}")
        elif name in named[:i]:
            yield Fault((*path, i), f"`{name}` is listed twice")
        elif name != judge and judge in named:
            yield Fault((*path, i), f"`{judge}` is listed too, with all of its aspects: name one of the two")
        elif name != judge and (known := context.aspects(judge)) is not None:
            aspect = name.removeprefix(f"{judge}.")
            if known == (experiment.judges[judge].judge,):
                yield Fault((*path, i), f"`{judge}` has one measure and no aspects. Name it as `{judge}`")
            elif aspect not in known:
                yield Fault((*path, i), f"`{judge}` has no aspect `{aspect}`. {suggest(aspect, known)}")


def _baseline(experiment: Experiment, asked: Collection[Name]) -> Iterator[Fault]:
    baseline = experiment.baseline
    if baseline is None:
        return
    if baseline not in experiment.methods:
        yield Fault(
            ("baseline",), f"there is no method `{baseline}`. {suggest(baseline, experiment.methods)}"
        )
        return
    if baseline not in asked:
        yield Fault(
            ("baseline",), f"`{baseline}` has no cell, so nothing will be compared with it", "warning"
        )
    for method in experiment.methods:
        name = versus(method, baseline)
        contrast = experiment.contrasts.get(name)
        if contrast is not None and {contrast.of, contrast.against} != {method, baseline}:
            why = f"this is the name of the comparison of `{method}` with the baseline"
            yield Fault(
                ("contrasts", name), f"{why}. Name this contrast otherwise, as `{method}_gain`", on="key"
            )
