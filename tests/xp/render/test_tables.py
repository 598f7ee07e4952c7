"""`xp tables`: a line for each table and view."""

from rich.cells import cell_len

from warehouse.relations import described
from xp.render.tables import tables_as_text


def test_every_table_and_view_has_a_line_that_begins_with_what_is_known_of_a_row() -> None:
    lines = tables_as_text(None).splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == [name for kind in described().values() for name in kind]
    assert "score_by_cell  the mean over items, with its 95% interval, per cell and measure" in {
        " ".join(line.split()).replace("score_by_cell ", "score_by_cell  ", 1) for line in lines
    }
    assert ["runs", "per attempt at a step"] in [line.split(maxsplit=1) for line in lines]


def test_a_line_is_cut_to_the_terminal() -> None:
    lines = tables_as_text(60).splitlines()
    assert max(map(cell_len, lines)) == 60
    assert sum(line.endswith("…") for line in lines) > 20
