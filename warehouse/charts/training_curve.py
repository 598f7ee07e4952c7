"""Training metrics: a panel for each tuned method and metric."""

from collections import defaultdict
from typing import Any

from warehouse.charts.theme import COLOURS, PANEL_WIDTH, Order, Panel, Row, Rows, place, themed

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

    Colours are training languages, dashes models; a method with several seeds has a line for each.
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
            "tuned": row["train_languages"] or "",
            "model": row["model"],
        }
        for step_id, line in lines.items()
        for row in _thinned(line)
    ]
    tuned = sorted({value["tuned"] for value in values})
    models = [model for model in order.models if any(value["model"] == model for value in values)]
    colour = alt.Color(
        "tuned:N", scale=alt.Scale(domain=tuned, range=[COLOURS[i % len(COLOURS)] for i in range(len(tuned))])
    )
    dash = alt.StrokeDash(
        "model:N",
        scale=alt.Scale(domain=models, range=[DASHES[i % len(DASHES)] for i in range(len(models))]),
        legend=alt.Legend() if len(models) > 1 else None,
    )
    curve = (
        alt.Chart(alt.Data(values=values))
        .mark_line(strokeWidth=1.8, point=len(values) <= 3 * len(lines))
        .encode(
            x=alt.X("step:Q", title="optimiser step", axis=alt.Axis(grid=False, format="d", tickMinStep=1)),
            y=alt.Y("value:Q", title=name, scale=alt.Scale(zero=False)),
            color=colour,
            strokeDash=dash,
            detail="line:N",
        )
    )
    return themed(curve.properties(width=PANEL_WIDTH - 60, height=130))


def _thinned(line: list[Row]) -> list[Row]:
    ordered = sorted(line, key=lambda row: row["global_step"])
    stride = -(-len(ordered) // MOST_POINTS)
    return [*ordered[:-1:stride], ordered[-1]]
