"""Instructions that a program can check: how many were followed, a panel a language."""

from warehouse.charts._intervals import Line, dots
from warehouse.charts.theme import Order, Panel, Rows, by_language, label, number

READINGS = {
    ("strict", "prompt"): "strict, by prompt",
    ("loose", "prompt"): "loose, by prompt",
    ("strict", "instruction"): "strict, by instruction",
    ("loose", "instruction"): "loose, by instruction",
}
"""Strictness and unit in words, in the order of the field's tables."""


def chart(rows: Rows, order: Order) -> list[Panel]:
    """Share of prompts with every instruction followed, and of instructions followed, with 95% intervals.

    Errors are clustered by prompt. Loose also accepts an answer that would follow them without its first
    or last line or its asterisks.
    """
    return [
        Panel(
            language,
            dots(
                [
                    Line(
                        label(row, order),
                        row["accuracy"],
                        row["ci_low"],
                        row["ci_high"],
                        f"{number(100 * row['accuracy'], 1)}% · n {row['n']}" if row["n"] else "unscored",
                        order.colour(row["method"]),
                        order.shape(row["method"]),
                        group=heading,
                    )
                    for reading, heading in READINGS.items()
                    for row in found
                    if (row["strictness"], row["unit"]) == reading
                ],
                axis="share followed",
                domain=(0.0, 1.0),
            ),
        )
        for language, found in by_language(rows, order)
    ]
