"""Items, seeds and judge repeats that would detect an effect, as text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

from xp.estimates.estimating import Estimate
from xp.needed import Enough, Needed
from xp.render.estimates import in_time
from xp.render.words import counted


def needed_as_text(found: Sequence[Needed], effect: float) -> str:
    """A line for each confirmatory contrast, measure and language, with what it needs and what that costs."""
    if not found:
        return "No contrast is declared on a measure: nothing is confirmatory. Declare `contrasts`."
    unit = " (~ of the scale's width: nothing was measured yet)" if any(o.is_assumed for o in found) else ""
    lines = [f"To detect {effect:g}{unit} with a probability of 80%, either of:"]
    for contrast, group in groupby(found, key=lambda one: (one.contrast, one.dataset, one.measure)):
        lines.append(f"  {contrast[0]} on {contrast[2]} ({contrast[1]})")
        lines += [
            f"    {'~' if one.is_assumed else ''}{one.language}  {'; '.join(_ways(one))}" for one in group
        ]
    return "\n".join(lines)


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
