"""Conditions of aspects: values of an example's columns under which an aspect is judged."""

from dsl.data.records import Example
from dsl.errors import DataError
from dsl.judges._rubric import Condition, OtherThan


def meets(example: Example, condition: Condition) -> bool:
    """Check if the example has one of the values that a condition names, in every column.

    Raises:
        DataError: the examples have no such column.
    """
    columns = {"category": example.category, **example.extra}
    for column, values in condition.items():
        if column not in columns:
            raise DataError(
                f"an aspect is judged by the column `{column}`, which the examples do not have. They have"
                f" {', '.join(columns)}; others are named in the data set's `columns`, under `extra`"
            )
        if isinstance(values, OtherThan):
            if columns[column] in values.other_than:
                return False
        elif columns[column] not in values:
            return False
    return True
