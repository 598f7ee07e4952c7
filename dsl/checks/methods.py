"""Checks of the study's methods: the data they read, their languages, and the policies they start from."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.judges.recorded import Settings as RecordedVerdicts
from dsl.methods import Sft
from dsl.methods.base import MethodBase
from dsl.methods.on_policy import OnPolicyPairs
from dsl.methods.preference import PreferenceMethod
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
        if isinstance(method, PreferenceMethod):
            if method.policy not in ("base", "instruct"):
                yield from _policy(context, name, method, method.policy, "policy")
            if isinstance(method.pairs, OnPolicyPairs):
                yield from _own_answers(context, name, method, method.pairs)


_STANDS_FOR = {"instruction": ("messages", "chosen"), "response": ("messages",)}
"""Column that a method needs -> those that may hold it: whether they do, the rows say."""


def _columns(context: Context, name: Name, method: MethodBase) -> Iterator[Fault]:
    """Check that the data sets that a method reads exist, in its languages and with its columns."""
    e = context.experiment
    for setting, dataset, needed in method.required_columns():
        at = ("methods", name, *setting.split("."))
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
            shows = setting == "demonstrations.from"
            if has is not None and language not in has and (language in e.languages or shows):
                why = "shows" if shows else "is trained on"
                yield Fault(at, f"`{dataset}` has no `{language}`, which this method {why}")


def _policy(
    context: Context, name: Name, method: TuningMethod, policy: Name, *setting: str
) -> Iterator[Fault]:
    """Check that the sft method that another starts from, or that answers for it, exists, and that one model
    of it fits."""
    methods = context.experiment.methods
    path = ("methods", name)
    trained = [n for n, m in methods.items() if isinstance(m, Sft)]
    yield from unknown_name((*path, *setting), policy, ("base", "instruct", *trained), "policy")
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


def _own_answers(
    context: Context, name: Name, method: PreferenceMethod, pairs: OnPolicyPairs
) -> Iterator[Fault]:
    """Check the model that answers, and that the judge scores each answer by itself."""
    at = ("methods", name, "pairs")
    if pairs.source not in ("base", "instruct", method.policy):
        yield from _policy(context, name, method, pairs.source, "pairs", "from")
    judges = context.experiment.judges
    yield from unknown_name((*at, "rank_by"), pairs.rank_by, judges, "judge")
    judge = judges.get(pairs.rank_by)
    if isinstance(judge, RecordedVerdicts) or (judge and (judge.judges() or judge.opponents() != ())):
        yield Fault(
            (*at, "rank_by"),
            f"`{pairs.rank_by}` scores no new answer by itself: name a judge that does, as `length`, `reward`"
            " or `rubric`",
        )
    asked = context.experiment.data.get(pairs.prompts)
    for column in judge.NEEDS if judge and asked else ():
        if asked is not None and getattr(asked.columns, column) is None:
            yield Fault(
                (*at, "prompts"),
                f"`{pairs.prompts}` has no column `{column}`, by which `{pairs.rank_by}` judges its answers",
            )
