"""Time per model: starting and loading, which happen once, and the work itself."""

from warehouse.charts._intervals import NEUTRAL, Line, bars
from warehouse.charts.cost_by_step import KINDS
from warehouse.charts.theme import Order, Panel, Rows, number, place, reach


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Seconds that each model took to start (Python, libraries), to load, to train and to ask."""
    models = sorted({row["model"] for row in rows}, key=lambda model: place(order.models, model))
    seconds = {model: _seconds([row for row in rows if row["model"] == model]) for model in models}
    domain = reach(
        [{"seconds": found} for parts in seconds.values() for found in parts.values()],
        ("seconds",),
        least=(0.0, 1.0),
    )
    return [
        Panel(
            model,
            bars(
                [
                    Line(name, found, None, None, f"{number(found, 1)} s", NEUTRAL)
                    for name, found in seconds[model].items()
                ],
                axis="seconds",
                domain=domain,
            ),
        )
        for model in models
    ]


def _seconds(rows: Rows) -> dict[str, float]:
    """Seconds by purpose."""
    found: dict[str, float] = {
        name: sum(row[f"{short}_seconds"] for row in rows)
        for name, short in (("starting", "start"), ("loading", "load"))
    }
    kinds: dict[str, float] = {row["kind"]: row["work_seconds"] for row in rows}
    return found | {KINDS[kind]: kinds[kind] for kind in KINDS if kind in kinds}
