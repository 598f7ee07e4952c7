"""Checks of the study's judges: the files, columns and other judges that they read."""

from collections.abc import Iterator, Mapping

from dsl.checks.context import Context
from dsl.checks.fault import Fault, unknown_name
from dsl.checks.recorded import unknown_keys, verdict_faults
from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings
from dsl.judges.recorded import Settings as RecordedVerdicts
from dsl.methods.base import CellRequest
from dsl.plan.building import names_of
from dsl.plan.comparisons import plants
from dsl.values import Name


def judge_faults(context: Context) -> Iterator[Fault]:
    """Check that each judge finds all that it reads; warn of judges that are not pinned."""
    e = context.experiment
    own = _with_own_verdicts(context)
    asked = [e.data[dataset].columns for dataset in e.evaluate if dataset in e.data]
    for name, judge in e.judges.items():
        path = ("judges", name)
        if (why := judge.unpinned()) is not None:
            yield Fault(path, why, "warning")
        yield from _files(context, name)
        for column in judge.NEEDS:
            if asked and all(getattr(columns, column) is None for columns in asked):
                yield Fault(
                    path,
                    f"no data set that is asked has the column `{column}`, so there is nothing to judge by",
                )
        wanted = judge.opponents()
        for opponent in () if wanted == "all" else wanted:
            yield from unknown_name(path, opponent, e.methods, "method")
        for other in judge.judges():
            yield from unknown_name(path, other, own, "judge with verdicts of its own")
        if set(judge.judges()) <= set(own) and (why := _disagreement(context, judge)) is not None:
            yield Fault(path, why)


def probe_faults(context: Context) -> Iterator[Fault]:
    """Check that probes name judges whose verdicts can change, and texts that exist."""
    e = context.experiment
    own = _with_own_verdicts(context)
    for name, probe in e.judge_probes.items():
        for i, judge in enumerate(probe.judges):
            at = ("judge_probes", name, "judges", i)
            yield from unknown_name(at, judge, e.judges, "judge")
            if judge in e.judges and judge not in own:
                read = ", ".join(e.judges[judge].judges())
                yield Fault(at, f"`{judge}` reads other judges' verdicts and no answers: probe {read}")
            elif isinstance(e.judges.get(judge), RecordedVerdicts):
                yield Fault(
                    at,
                    f"`{judge}` holds verdicts that were given before: what is planted in an answer cannot"
                    " move them",
                )
        yield from unknown_name(("judge_probes", name, "plant"), probe.plant, plants(), "text to plant")


def _with_own_verdicts(context: Context) -> tuple[Name, ...]:
    return tuple(name for name, judge in context.experiment.judges.items() if not judge.judges())


def _disagreement(context: Context, judge: JudgeSettings) -> str | None:
    """Say why the judges that this one reads cannot be combined, or None."""
    try:
        pinned = {other: context.pinned(other) for other in judge.judges()}
    except DataError:
        return None  # reported of the judge that lacks something
    try:
        judge.among(pinned)
    except DataError as error:
        return str(error)
    return None


def _files(context: Context, name: Name) -> Iterator[Fault]:
    """Report files and packages that a judge lacks, verdicts that belong to no item, and cells that it would
    confuse."""
    path = ("judges", name)
    try:
        pinned = context.pinned(name)
    except DataError as error:
        yield Fault(path, str(error))
        return
    if isinstance(pinned, RecordedVerdicts):
        yield from unknown_keys(context, (*path, "verdicts", "path"), pinned.verdicts.path)
    found: dict[tuple[CellRequest, Name], RecordedVerdicts] = {}
    for request, method in context.requests:
        names = names_of(context.experiment, request, method)
        try:
            here = pinned.of_cell(names, context.fingerprints, context.folder)
        except DataError as error:
            yield Fault(path, str(error))
        else:
            if isinstance(here, RecordedVerdicts):
                found[request, method] = here
    if isinstance(pinned, RecordedVerdicts):
        yield from verdict_faults(context, name, [(cell, here) for (cell, _), here in found.items()])
        for why in _mixed_cells(context, found, pinned.ambiguous_coordinates()):
            yield Fault(path, why)


def _mixed_cells(
    context: Context, settings: Mapping[tuple[CellRequest, Name], JudgeSettings], ambiguous: frozenset[str]
) -> Iterator[str]:
    """Report pairs of cells whose answers a judge with the same settings cannot distinguish."""
    seen: dict[tuple[Name, str], dict[str, str]] = {}
    for request, method in context.requests:
        if (found := settings.get((request, method))) is None:
            continue
        here = found.model_dump_json()
        cell = {"method": method, "model": request.model, "language": request.language}
        cell |= {"tuned on": "+".join(request.train_languages)}
        cell |= {"seed": str(request.seed), "turn": str(request.turn)}
        other = seen.setdefault((request.dataset, here), cell)
        differ = [name for name in cell if name in ambiguous and cell[name] != other[name]]
        if "language" in differ and not context.experiment.data[request.dataset].parallel:
            differ.remove("language")  # their items have names of their own
        if differ:
            rest = [name for name in differ if name not in ("method", "model")]
            one, two = (
                " ".join([f"{c['method']} on {c['model']}", *(f"{name} {c[name]}" for name in rest)])
                for c in (other, cell)
            )
            ways = [f"`{{{name}}}`" for name in differ if name != "tuned on"]
            put = f"Put {' and '.join(ways)} into the path or `where`, or name" if ways else "Name"
            yield (
                f"the same verdicts would be taken for the answers of {one} and of {two}. {put} the column"
                " `response`, the text that was judged"
            )
