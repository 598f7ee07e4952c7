"""Faults of a study's contrasts, of its primary judges and of its baseline."""

from collections.abc import Collection, Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.messages import Path, listed, suggest
from dsl.plan.contrasts import FEWEST_MODELS, shared_methods, versus
from dsl.plan.requests import languages_of
from dsl.spec.experiment import Contrast, Experiment, ModelSide
from dsl.values import Name


def contrast_faults(context: Context) -> Iterator[Fault]:
    """Check the names in contrasts, `primary` and `baseline`, and what they can be tested on."""
    experiment = context.experiment
    asked = {method for _, method in context.requests}
    for name, contrast in experiment.contrasts.items():
        yield from _models(context, name, contrast)
        for side in ("of", "against"):
            method: Name | ModelSide = getattr(contrast, side)
            if isinstance(method, ModelSide):
                continue
            if method not in experiment.methods:
                hint = (
                    f"`{method}` is a model. Models are compared as `of: {{model: {method}}}`"
                    if method in experiment.models
                    else suggest(method, experiment.methods)
                )
                yield Fault(("contrasts", name, side), f"there is no method `{method}`. {hint}")
            elif method not in asked:
                yield Fault(
                    ("contrasts", name, side),
                    f"`{method}` has no cell, so this contrast will be empty",
                    "warning",
                )
        if contrast.of == contrast.against and isinstance(contrast.of, str):
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
    yield from _declared_twice(context)
    yield from _measures(context, ("primary",), experiment.primary)
    yield from _baseline(experiment, asked)


def _models(context: Context, name: Name, contrast: Contrast) -> Iterator[Fault]:
    """Check a contrast between models: their names, and that there is a method that both have."""
    experiment = context.experiment
    if not isinstance(contrast.of, ModelSide) or not isinstance(contrast.against, ModelSide):
        return
    faults: list[Fault] = []
    for side, found in (("of", contrast.of), ("against", contrast.against)):
        at = ("contrasts", name, side)
        faults += unknown_name((*at, "model"), found.model, experiment.models, "model")
        if found.method is not None:
            faults += unknown_name((*at, "method"), found.method, experiment.methods, "method")
    yield from faults
    if faults:
        return
    if contrast.of.model == contrast.against.model:
        yield Fault(("contrasts", name), f"`{contrast.of.model}` is compared with itself", on="key")
        return
    shared = shared_methods(contrast, context.methods)
    if not shared:
        which = (
            "they share no method" if contrast.method is None else f"`{contrast.method}` is not tried on both"
        )
        each = "; ".join(
            f"`{model}`: {listed(context.methods.get(model, ())) or 'none'}"
            for model in (contrast.of.model, contrast.against.model)
        )
        yield Fault(
            ("contrasts", name),
            f"{which}, so there is nothing to compare. They have {each}",
            on="key",
        )
    for method in shared if len(shared) > 1 else ():
        if (part := f"{name}_{method}") in experiment.contrasts:
            why = (
                f"`{name}` makes a contrast of this name, for the method `{method}`. Name this one otherwise"
            )
            yield Fault(("contrasts", part), why, on="key")


def _declared_twice(context: Context) -> Iterator[Fault]:
    """Check that no two contrasts are of the same sides on the same measures: each counts for the
    correction."""
    seen: dict[object, Name] = {}
    for name, contrast in context.experiment.contrasts.items():
        of, against = contrast.of, contrast.against
        if isinstance(of, ModelSide) and isinstance(against, ModelSide):
            shared = shared_methods(contrast, context.methods)
            pairs = [frozenset({f"{of.model} {method}", f"{against.model} {method}"}) for method in shared]
        else:
            pairs = [frozenset({str(of), str(against)})]
        for pair in pairs:
            other = seen.setdefault((pair, contrast.on, frozenset(contrast.by)), name)
            if other != name:
                why = f"compares what `{other}` compares, so its tests count twice in the correction"
                yield Fault(("contrasts", name), f"{why}. Leave one of the two out", "warning", on="key")
                break


def _untestable(experiment: Experiment, by: Collection[str]) -> Iterator[str]:
    """Yield why changes of a difference will not be tested: too few models or languages, or items that do not
    pair."""
    asked = [dataset for dataset in experiment.evaluate if dataset in experiment.data]
    n_models, n_languages = (
        sum(model.has_size() for model in experiment.models.values()),
        max((len(languages_of(experiment, dataset)) for dataset in asked), default=2),
    )
    if "size" in by and n_models < FEWEST_MODELS:
        yield (
            f"a change with size needs {FEWEST_MODELS} models of known size, and the study has {n_models}:"
            " nothing will be tested"
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
        if contrast is not None and (contrast.of, contrast.against) not in (
            (method, baseline),
            (baseline, method),
        ):
            why = f"this is the name of the comparison of `{method}` with the baseline"
            yield Fault(
                ("contrasts", name), f"{why}. Name this contrast otherwise, as `{method}_gain`", on="key"
            )
