"""Drop a spec's invalid parts and go on checking, so that every problem is reported at once.

A faulty setting is left out; an entry that cannot do without it (`methods.sft`) gives way to a harmless one
of its name, so that those who name it still find it. Complaints that could only come of this are dropped.
"""

import re
from collections.abc import Callable, Iterable
from typing import cast

from pydantic import ValidationError

from dsl.data.rows import Rows
from dsl.errors import Problem
from dsl.messages import Path as SpecPath
from dsl.messages import dotted
from dsl.spec.experiment import Experiment
from dsl.yaml.document import Plain

_HARMLESS: dict[str, dict[str, Plain]] = {
    "models": {"base": {"engine": "echo"}, "parameters": 1},
    "data": {"rows": {"path": "-"}, "columns": {}},
    "methods": {"method": "instruct"},
    "judges": {"judge": "empty"},
}


def drop_invalid(
    data: dict[str, Plain], problems: Iterable[Problem]
) -> tuple[Experiment, Callable[[Problem], bool]] | None:
    """Drop the invalid parts of a spec.

    Returns the rest, and a test of whether a problem found in it is the file's own; None where too little is
    left to check.
    """
    faulty = {problem.path for problem in problems if problem.path}
    kept = cast("dict[str, Plain]", _without(data, (), faulty)) | (
        {} if "experiment" in data and "experiment" not in faulty else {"experiment": "x"}
    )
    try:
        experiment = Experiment.model_validate(kept)
    except ValidationError as error:
        for section, name in {details["loc"][:2] for details in error.errors() if len(details["loc"]) > 1}:
            entries = kept.get(str(section))
            if section not in _HARMLESS or not isinstance(entries, dict):
                return None
            entries[str(name)] = _HARMLESS[str(section)]
            faulty.add(dotted((section, name)))
        try:
            experiment = Experiment.model_validate(kept)
        except ValidationError:
            return None
    faulty |= {_above_rows(path) for path in faulty}
    replaced = {
        name
        for section in _HARMLESS
        for name in getattr(experiment, section)
        if _is_faulty((section, name), faulty)
    }

    def is_own(problem: Problem) -> bool:
        said = problem.message.split(". ")[0]
        return not (
            any(_lies_in(problem.path, path) or _lies_in(path, problem.path) for path in faulty)
            or any(f"`{name}`" in said for name in replaced)
            # Files of recorded answers and verdicts bear the model's name.
            or (
                problem.path.startswith(("methods.", "judges."))
                and any(re.fullmatch(r"models\..+\.recorded", path) for path in faulty)
            )
            or ("has the column" in said and any(re.match(r"data\..+\.columns\b", path) for path in faulty))
            # Of a column under another name nothing can be read.
            or any(
                (columns := re.match(r"data\..+?\.columns\.", path)) and problem.path.startswith(columns[0])
                for path in faulty
            )
            or ("language of the study" in said and _is_faulty(("languages",), faulty))
            or (
                "nothing to compare" in said
                and any(_is_faulty((one,), faulty) for one in ("models", "methods"))
            )
        )

    return experiment, is_own


def _without(value: Plain, path: SpecPath, faulty: set[str]) -> Plain:
    if dotted(path) not in faulty and not _is_faulty(path, faulty):
        return value
    if isinstance(value, dict):
        return {
            key: _HARMLESS[str(path[0])]
            if _is_entry((*path, key)) and dotted((*path, key)) in faulty
            else _without(one, (*path, key), faulty)
            for key, one in value.items()
            if _is_entry((*path, key)) or dotted((*path, key)) not in faulty
        }
    if isinstance(value, list):  # a neighbour stands in, so that the others keep their places
        right = [one for i, one in enumerate(value) if dotted((*path, i)) not in faulty]
        return [
            _without(one, (*path, i), faulty) if dotted((*path, i)) not in faulty else right[0]
            for i, one in enumerate(value)
            if right
        ]
    return value


def _above_rows(path: str) -> str:
    """Rows that lack their `path` or `hub` pass for those of no language, so what is said of them is said of
    nothing."""
    found = re.fullmatch(rf"(data\..+\.rows)\.(?:{'|'.join(Rows.model_fields)})", path)
    return found[1] if found else path


def _is_entry(path: SpecPath) -> bool:
    return len(path) == 2 and path[0] in _HARMLESS


def _is_faulty(path: SpecPath, faulty: set[str]) -> bool:
    """Test whether something at the path or below it is invalid."""
    return any(_lies_in(one, dotted(path)) for one in faulty)


def _lies_in(path: str, above: str) -> bool:
    return path == above or not above or path.startswith((f"{above}.", f"{above}["))
