"""Checks of recorded answers to questions that are asked in turn: each turn has an answer of its own."""

from collections.abc import Iterator

from dsl.checks.context import Context
from dsl.checks.fault import Fault
from dsl.messages import listed
from dsl.methods import Recorded


def turn_faults(context: Context) -> Iterator[Fault]:
    """Refuse recorded answers whose columns are not those of a data set's turns."""
    e = context.experiment
    for dataset, method in dict.fromkeys((request.dataset, method) for request, method in context.requests):
        recipe = e.methods[method]
        if isinstance(recipe, Recorded) and (why := why_unfit(recipe, len(e.data[dataset].columns.turns))):
            yield Fault(("methods", method, "columns", "response"), f"`{dataset}` {why}", on="key")


def why_unfit(recipe: Recorded, n_turns: int) -> str | None:
    """Return why recorded answers are not those to so many questions in turn, 0 where a row asks once."""
    response = recipe.columns.response
    named = f"`response` names {listed(map(str, response)) if isinstance(response, tuple) else 'one'}"
    if not isinstance(response, tuple):
        if not n_turns or recipe.is_by_turn:
            return None
        return (
            f"asks {n_turns} questions in turn, and {named} column. Name one for each turn, as `response:"
            " [choices.0.turns.0, choices.0.turns.1]`, or put `{turn}` into the path or `where` of `answers`"
        )
    if not n_turns:
        return f"asks one question a row, and {named}. Name one column, or `exclude` the method here"
    if len(response) != n_turns:
        return f"asks {n_turns} questions in turn, and {named}. Name one column for each"
    return None
