"""Reference answers from a file of their own, matched by item."""

from collections.abc import Iterable, Iterator, Mapping

from dsl.data.files import placed
from dsl.data.inner_rows import Row
from dsl.data.records import Example
from dsl.data.selectors import text_at
from dsl.data.source import References, Selector
from dsl.errors import DataError
from dsl.messages import listed


def selector_of(reference: Selector | tuple[Selector, ...], turn: int | None) -> Selector | None:
    """The column of a turn's reference; None where there is none for it.

    One column alone is of the first question.
    """
    if not isinstance(reference, tuple):
        return reference if turn in (None, 1) else None
    place = (turn or 1) - 1
    return reference[place] if place < len(reference) else None


def references(rows: Iterable[Row], columns: References, turn: int | None, where: str) -> dict[str, str]:
    """Read the references of one turn: item -> text; a null one is none.

    Raises:
        DataError: a column is not there, or an item has two references.
    """
    found: dict[str, str] = {}
    selector = selector_of(columns.reference, turn)
    for number, at, row in placed(rows if selector is not None else (), where):
        assert selector is not None
        item, text = text_at(row, columns.item, number, at) or "", text_at(row, selector, number, at)
        if text is None:
            continue
        if found.setdefault(item, text) != text:
            raise DataError(f"{at}: the item {item!r} has two references")
    return found


def with_references(
    examples: Iterable[Example], found: Mapping[str, str], where: str, is_whole: bool = True
) -> Iterator[Example]:
    """Put references to the examples of the same item.

    Args:
        is_whole: no `limit` leaves out the items that references may be of.

    Raises:
        DataError: there are references, and none is of an item that is asked.
    """
    every = list(examples)
    if is_whole and found and every and found.keys().isdisjoint(one.item for one in every):
        asked = listed([one.item for one in every], 3)
        raise DataError(f"{where}: no reference is of an item that is asked: {listed(found, 3)}, not {asked}")
    yield from (one.model_copy(update={"reference": found.get(one.item)}) for one in every)
