"""The warehouse's tables and views, by the SQL files that make them."""

from pathlib import Path

from warehouse.statements import HERE, comments_of

COMPUTED_IN_PYTHON = (
    "paired_scores",
    "contrast_tests",
    "contrasts_beside_people",
    "language_gaps",
    "method_strengths",
    "size_trends",
)
"""Tables of the statistics that SQL alone does not compute."""


def schema_files() -> tuple[Path, ...]:
    """Return the files of tables that are loaded or computed in Python."""
    return tuple(sorted((HERE / "schema").glob("*.sql")))


def view_files() -> tuple[Path, ...]:
    """Return the views, one file each, in an order in which they can be made."""
    return (*views_of("base"), *views_of("marts"))


def table_files() -> tuple[Path, ...]:
    """Return the views that are materialised, each as a table of the file's name."""
    return views_of("tables")


def computed_tables() -> tuple[str, ...]:
    """Return the names of all tables that are computed after loading."""
    return (*COMPUTED_IN_PYTHON, *(file.stem for file in table_files()))


def described() -> dict[str, dict[str, str]]:
    """Return every table and view with its comment, by kind: `marts`, `base`, `tables`, `schema`."""
    files = {kind: views_of(kind) for kind in ("marts", "base", "tables")} | {"schema": schema_files()}
    return {
        kind: {name: text for file in found for name, text in comments_of(file).items()}
        for kind, found in files.items()
    }


def views_of(folder: str) -> tuple[Path, ...]:
    """Return the views of one folder of `views`, in the order of their names."""
    return tuple(sorted((HERE / "views" / folder).glob("*.sql")))
