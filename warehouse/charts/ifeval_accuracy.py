"""Instructions that a program can check: how many were followed, a panel a language."""

from warehouse.charts._intervals import Line, dots, method_line, panels_by_language
from warehouse.charts.theme import Order, Panel, Row, Rows, answers_link, number

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

    def line(row: Row, heading: str) -> Line:
        text = f"{number(100 * row['accuracy'], 1)}% · n {row['n']}" if row["n"] else "unscored"
        link = answers_link(row, measure=f"{row['judge']}.{row['strictness']}")
        return method_line(row, order, "accuracy", text, heading, link)

    def lines(found: Rows) -> list[Line]:
        return [
            line(row, heading)
            for reading, heading in READINGS.items()
            for row in found
            if (row["strictness"], row["unit"]) == reading
        ]

    return panels_by_language(rows, order, lines, dots, axis="share followed", domain=(0.0, 1.0))
