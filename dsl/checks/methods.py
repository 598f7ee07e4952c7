"""Checks of the study's methods: the data they read, their languages, and the policies they start from."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.methods import Sft
from dsl.methods.base import MethodBase
from dsl.methods.tuning import TuningMethod
from dsl.plan.contrasts import again
from dsl.values import Name


def method_faults(context: Context) -> Iterator[Fault]:
    """Check that each method's data sets, columns, languages and policy exist and fit."""
    languages = context.experiment.languages
    for name, method in context.experiment.methods.items():
        yield from _columns(context, name, method)
        if method.noise and again(name) in context.experiment.methods:
            why = f"its replicate is called `{again(name)}`, as another method is: rename one of them"
            yield Fault(("methods", name, "noise"), why)
        if isinstance(method, TuningMethod) and isinstance(method.train_languages, tuple):
            for i, language in enumerate(method.train_languages):
                at = ("methods", name, "train_languages", i)
                yield from unknown_name(at, language, languages, "language of the study")
        if isinstance(method, TuningMethod) and method.starts_from is not None:
            yield from _policy(context, name, method, method.starts_from)


_STANDS_FOR = {"instruction": ("messages", "chosen"), "response": ("messages",)}
"""Column that a method needs -> those that may hold it: whether they do, the rows say."""


def _columns(context: Context, name: Name, method: MethodBase) -> Iterator[Fault]:
    """Check that the data sets that a method reads exist, in its languages and with its columns."""
    e = context.experiment
    for setting, dataset, needed in method.required_columns():
        at = ("methods", name, setting, *(("from",) if setting == "demonstrations" else ()))
        if dataset not in e.data:
            yield from unknown_name(at, dataset, e.data, "data set")
            continue
        for column in needed:
            columns = e.data[dataset].columns
            if all(getattr(columns, one) is None for one in (column, *_STANDS_FOR.get(column, ()))):
                why = f"`methods.{name}` needs the column `{column}`"
                yield Fault(("data", dataset, "columns"), why, on="key")
        for language in context.needs.used.get(name, {}).get(dataset, ()):
            has = e.data[dataset].languages
            shows = setting == "demonstrations"
            if has is not None and language not in has and (language in e.languages or shows):
                why = "shows" if shows else "is trained on"
                yield Fault(at, f"`{dataset}` has no `{language}`, which this method {why}")


def _policy(context: Context, name: Name, method: TuningMethod, policy: Name) -> Iterator[Fault]:
    """Check that the sft method that another starts from exists, and that one model of it fits."""
    methods = context.experiment.methods
    path = ("methods", name)
    trained = [n for n, m in methods.items() if isinstance(m, Sft)]
    yield from unknown_name((*path, "policy"), policy, ("base", "instruct", *trained), "policy")
    below = methods.get(policy)
    if not isinstance(below, Sft):
        return
    if below.train_languages == "each" != method.train_languages:
        yield Fault(
            (*path, "train_languages"),
            f"`{policy}` tunes each language by itself, so there is no one model of it to start from."
            " Give both the same `train_languages`",
        )
    if below.prompting != method.prompting:
        yield Fault(
            path,
            f"its prompt differs from that of `{policy}`, which it starts from: a policy is asked as"
            " it was trained",
        )
