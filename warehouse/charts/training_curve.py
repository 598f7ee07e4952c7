"""Training metrics: a panel for each tuned method and metric."""

from collections import defaultdict
from typing import Any

from warehouse.charts.theme import PANEL_WIDTH, Order, Panel, Row, Rows, place, themed

SHOWN = (
    "loss",
    "eval_loss",
    "rewards/margins",
    "rewards/accuracies",
    "eval_rewards/accuracies",
    "rewards/chosen",
    "rewards/rejected",
    "mean_token_accuracy",
    "entropy",
    "kl",
    "grad_norm",
)
"""TRL's metrics that are drawn, in this order; the rest is in the table."""

MOST_POINTS = 200
"""A longer curve is drawn through every k-th point and its last."""

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Metrics logged during training, by optimiser step.

    Colours are methods, dashes models and training languages; a method with several seeds has a line each.
    """
    methods = sorted({row["method"] for row in rows}, key=lambda method: place(order.methods, method))
    found = [
        (method, name, [row for row in rows if row["method"] == method and row["name"] == name])
        for method in methods
        for name in SHOWN
    ]
    return [Panel(f"{method}: {name}", _curves(curve, name, order)) for method, name, curve in found if curve]


def _curves(rows: Rows, name: str, order: Order) -> dict[str, Any]:
    import altair as alt

    lines: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        lines[row["step_id"]].append(row)
    values = [
        {
            "step": row["global_step"],
            "value": row["value"],
            "line": step_id,
            "drawn": _drawn(row, order),
        }
        for step_id, line in lines.items()
        for row in _thinned(line)
    ]
    drawn = list(dict.fromkeys(value["drawn"] for value in values))
    dash = alt.StrokeDash(
        "drawn:N",
        scale=alt.Scale(domain=drawn, range=[DASHES[i % len(DASHES)] for i in range(len(drawn))]),
        legend=alt.Legend() if len(drawn) > 1 else None,
    )
    curve = (
        alt.Chart(alt.Data(values=tuple(values)))
        .mark_line(
            color=order.colour(rows[0]["method"]), strokeWidth=1.8, point=len(values) <= 3 * len(lines)
        )
        .encode(
            x=alt.X("step:Q", title="optimiser step", axis=alt.Axis(grid=False, format="d", tickMinStep=1)),
            y=alt.Y("value:Q", title=name, scale=alt.Scale(zero=False)),
            strokeDash=dash,
            detail=alt.Detail("line:N"),
        )
    )
    return themed(curve.properties(width=PANEL_WIDTH - 60, height=130))


def _drawn(row: Row, order: Order) -> str:
    """The name of a line's dash: its model and training languages, where the study has several."""
    return " ".join(
        part
        for part, is_shown in (
            (row["model"], len(order.models) > 1),
            (f"← {row['train_languages']}", row["method"] in order.retuned),
        )
        if is_shown
    )


def _thinned(line: list[Row]) -> list[Row]:
    ordered = sorted(line, key=lambda row: row["global_step"])
    stride = -(-len(ordered) // MOST_POINTS)
    return [*ordered[:-1:stride], ordered[-1]]
