"""Checks that an experiment's types cannot make: names, languages, files, items that pair.

No check stops at its first fault, so that a person sees them all at once.
"""

from collections.abc import Iterator

from dsl.checks.budget import budget_faults
from dsl.checks.context import Context
from dsl.checks.contrasts import contrast_faults
from dsl.checks.data.sets import data_faults
from dsl.checks.decoding import decoding_faults
from dsl.checks.execution import execution_faults
from dsl.checks.fault import Fault
from dsl.checks.judges import judge_faults, probe_faults
from dsl.checks.languages import language_faults
from dsl.checks.matrix import boolean_faults, filter_faults, name_faults
from dsl.checks.methods import method_faults
from dsl.checks.models import model_faults
from dsl.checks.prompts import prompt_faults
from dsl.checks.recorded import recorded_faults
from dsl.checks.stopping import stopping_faults
from dsl.checks.turns import turn_faults
from dsl.errors import Problem
from dsl.yaml.document import Document


def problems_of(context: Context, document: Document) -> tuple[Problem, ...]:
    """Every error, warning and note, in no order."""
    found = [document.problem(f.path, f.message, on=f.on, level=f.level) for f in _faults(context, document)]
    if not any(problem.level == "error" for problem in found) and not context.requests:
        why = "no cell is left: `only` and `exclude` take everything away, or no method fits a model"
        found.append(document.problem((), why))
    return tuple(dict.fromkeys(found))  # languages that share a file share its faults


def _faults(context: Context, document: Document) -> Iterator[Fault]:
    yield from boolean_faults(document.data, context.experiment.model_dump(by_alias=True))
    yield from name_faults(context)
    yield from contrast_faults(context)
    yield from filter_faults(context)
    yield from language_faults(context)
    yield from model_faults(context)
    yield from method_faults(context)
    yield from prompt_faults(context)
    yield from decoding_faults(context)
    yield from judge_faults(context)
    yield from probe_faults(context)
    yield from data_faults(context)
    yield from turn_faults(context)
    yield from recorded_faults(context)
    yield from execution_faults(context)
    yield from budget_faults(context)
    yield from stopping_faults(context)
