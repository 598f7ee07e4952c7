"""Checks of questions that are asked in turn: it is not known which turn a recorded answer or verdict is
of."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.methods import Recorded


def turn_faults(context: Context) -> Iterator[Fault]:
    """Refuse recorded answers to questions that are asked in turn, and recorded verdicts on them."""
    e = context.experiment
    for name in (name for name in e.evaluate if name in e.data and e.data[name].columns.turns):
        path = ("data", name, "columns", "turns")
        asked = dict.fromkeys(method for request, method in context.requests if request.dataset == name)
        for method in (method for method in asked if isinstance(e.methods[method], Recorded)):
            yield Fault(
                path,
                f"recorded answers have no turns, and `{method}` answers with such. Ask each turn in a data"
                f" set of its own (`instruction`, `messages`), or `exclude` {method} here",
                on="key",
            )
        for judge in (judge for judge, settings in e.judges.items() if settings.judge == "recorded"):
            yield Fault(path, f"recorded verdicts have no turns, and the judge `{judge}` has such", on="key")
