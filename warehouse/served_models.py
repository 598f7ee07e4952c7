"""Names of models that servers gave with their answers, beside those that they were asked for."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dsl.messages import listed, ticked

_TAG = re.compile(r"[:@].+$|[-_.@:](?:\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{3,8}|latest|v\d+(?:\.\d+)*)$")
"""End of a name that says which version of a model it is: a date, a build, a tag."""

_MOST = 3
"""Names that are shown."""


@dataclass(frozen=True)
class ServedModels:
    """Sentences on what servers say of the models that answered a study."""

    others: tuple[str, ...] = ()
    """Each names a model that was asked for, and those that answered."""
    several: tuple[str, ...] = ()
    """Each names a model of which one step was answered by several."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for a person, each whole."""
        return (
            *(f"Another model answered than was asked: {one}." for one in self.others),
            *(f"Several models answered: {one}." for one in self.several),
        )


def served_models(connection: duckdb.DuckDBPyConnection, experiment: str) -> ServedModels:
    """Compare the names that a study asks for with those that answered it."""
    sql = Path(__file__).with_suffix(".sql").read_text("utf-8")
    others: dict[tuple[bool, str], dict[str, int]] = defaultdict(dict)
    in_step: dict[tuple[bool, str, str], list[str]] = defaultdict(list)
    rows: list[tuple[str, bool, str, str, int]] = connection.execute(sql, [experiment]).fetchall()
    for step_id, is_judge, asked, served, n in rows:
        in_step[is_judge, asked, step_id].append(served)
        if not is_form_of(asked, served):
            counts = others[is_judge, asked]
            counts[served] = counts.get(served, 0) + n
    several: dict[tuple[bool, str], set[str]] = defaultdict(set)
    for (is_judge, asked, _), served in in_step.items():
        if len(served) > 1:
            several[is_judge, asked].update(served)
    return ServedModels(
        tuple(
            f"{ticked(asked)} was asked for, and {listed(counts, most=_MOST)} answered:"
            f" {sum(counts.values()):,} {'verdicts' if is_judge else 'answers'}"
            for (is_judge, asked), counts in others.items()
        ),
        tuple(
            f"{ticked(asked)} was answered by {listed(sorted(names), most=_MOST)} within one step"
            for (_, asked), names in several.items()
        ),
    )


def is_form_of(asked: str, served: str) -> bool:
    """Test whether a name that a server gives is the one that it was asked for: with or without its
    organisation or folder, dated, or tagged."""
    wanted, found = _plain(asked), _plain(served)
    return found == wanted or _TAG.sub("", found) == wanted


def _plain(name: str) -> str:
    name = name.strip().lower().rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    return re.sub(r"[:@-]latest$", "", name)
