"""Studies from Python: what the commands do, as functions.

    import xp

    study = xp.load("study.yaml")
    print(study.plan())                 # steps to run, with the reason for each
    study.apply()                       # runs them, and writes the report
    study.query("from score_by_method_language")
    xp.open(".xp").query("from cells", frame="polars")

Nothing is printed and nothing ends the process: errors are those of `dsl.errors`.
"""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xp.api import OpenStore, Study

__all__ = ["load", "open"]


def load(
    spec: str | PathLike[str], *, store: str | PathLike[str] | None = None, overrides: Sequence[str] = ()
) -> "Study":
    """Return the study of a spec file, which is read when it is planned.

    Args:
        spec: The YAML file.
        store: Folder of its steps and the warehouse; by default `$XP_STORE`, or `.xp`.
        overrides: Settings to replace, as `decoding.temperature=0.7`.
    """
    from pathlib import Path

    from xp.api import Study, store_folder

    return Study(Path(spec), store_folder(store), tuple(overrides))


def open(store: str | PathLike[str] | None = None) -> "OpenStore":
    """Return a store to be read: queries and reports of what it holds; by default `$XP_STORE`, or `.xp`.

    Raises:
        WarehouseError: there is no warehouse in it.
    """
    from xp.api import OpenStore, store_folder
    from xp.studies import warehouse_of

    return OpenStore(warehouse_of(store_folder(store)))
