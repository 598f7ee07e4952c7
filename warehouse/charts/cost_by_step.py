"""Time of the study: training, answering and judging, one panel per kind of step."""

from collections import defaultdict

from warehouse.charts._intervals import NEUTRAL, Line, bars
from warehouse.charts.theme import Order, Panel, Rows, number, reach

KINDS = {
    "data": "reading data",
    "pairs": "making pairs",
    "sft": "SFT",
    "reference_logps": "DPO's reference",
    "dpo": "DPO",
    "kto": "KTO",
    "orpo": "ORPO",
    "simpo": "SimPO",
    "select": "choosing",
    "generate": "answering",
    "judge": "judging",
}


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Seconds that the steps of each kind took, starting and loading of models included.

    A step that several methods share is counted once, under all their names.
    """
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        seconds[row["kind"], _owner(row["methods"] or (), order)] += row["seconds"] or 0.0
    domain = reach([{"seconds": total} for total in seconds.values()], ("seconds",), least=(0.0, 1.0))
    kinds = [
        kind
        for kind in dict.fromkeys((*KINDS, *(kind for kind, _ in seconds)))
        if any(kind == found for found, _ in seconds)
    ]
    return [
        Panel(
            KINDS.get(kind, kind),
            bars(
                [
                    Line(owner, total, None, None, f"{number(total, 1)} s", _colour(owner, order))
                    for (found, owner), total in sorted(seconds.items(), key=lambda item: -item[1])
                    if found == kind
                ],
                axis="seconds",
                domain=domain,
            ),
        )
        for kind in kinds
    ]


def _colour(owner: str, order: Order) -> str:
    """A method's own colour; grey for what several share."""
    return order.colour(owner) if owner in order.methods else NEUTRAL


def _owner(methods: list[str] | tuple[str, ...], order: Order) -> str:
    """The methods a step was made for, in a word."""
    names = [name for name in order.methods if name in methods] or sorted(methods)
    if len(names) > 2:
        return f"{len(names)} methods"
    return " + ".join(names) or "shared"
