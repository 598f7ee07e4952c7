"""Items, seeds and judge repeats that would detect an effect, as text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

from dsl.plan.study import ContrastPlan, Study
from xp.estimates.estimating import Estimate
from xp.needed import Enough, Needed
from xp.render.estimates import in_time
from xp.render.words import counted


def needed_as_text(found: Sequence[Needed], effect: float, study: Study) -> str:
    """A line for each confirmatory contrast, measure and language, with what it needs and what that costs;
    then one for each contrast of which that cannot be said."""
    known = {one.contrast for one in found}
    declared = [one for one in study.contrasts if one.is_declared and one.on]
    if not declared:
        return "No contrast is declared on a measure: nothing is confirmatory. Declare `contrasts`."
    lines = [*_ways_of_all(found, effect)] if found else []
    return "\n".join([*lines, *(f"{one.name}: {_unknown(one)}" for one in declared if one.name not in known)])


def _unknown(contrast: ContrastPlan) -> str:
    """Tell why no number of items, seeds or repeats is known for a contrast."""
    if contrast.stop_when is not None:
        return "`stop_when` decides how many items are asked."
    if contrast.by:
        return f"how its difference scatters over {' and '.join(contrast.by)} is known once it is measured."
    return f"nothing was measured yet on {', '.join(contrast.on)}, and no scale is known to assume from."


def _ways_of_all(found: Sequence[Needed], effect: float) -> Iterator[str]:
    unit = " (~ of the scale's width: nothing was measured yet)" if any(o.is_assumed for o in found) else ""
    yield f"To detect {effect:g}{unit} with a probability of 80%, either of:"
    for contrast, group in groupby(found, key=lambda one: (one.contrast, one.dataset, one.measure)):
        yield f"  {contrast[0]} on {contrast[2]} ({contrast[1]})"
        for one in group:
            yield f"    {'~' if one.is_assumed else ''}{one.language}  {'; '.join(_ways(one))}"


def needed_as_json(found: Sequence[Needed]) -> str:
    """The same for a program."""
    return json.dumps([asdict(one) for one in found], indent=1)


def _ways(one: Needed) -> Iterator[str]:
    yield _enough(one.items, "item") or "no number of items"
    for what, way in (("training seed", one.seeds), ("judge repeat", one.repeats)):
        if (said := _enough(way, what)) is not None:
            yield said


def _enough(way: Enough | None, what: str) -> str | None:
    if way is None:
        return None
    if way.n <= way.n_now:
        return f"{counted(way.n_now, what)}: enough"
    return f"{counted(way.n, what)} ({way.n_now} now{_cost(way.more)})"


def _cost(more: Estimate) -> str:
    usd = f", {more.usd:.2f} USD" if more.usd else ""
    return f"; {in_time(more.seconds)}{usd} more" if more.seconds or more.usd else ""
