"""Experiment → Plan: every cell of the matrix becomes its steps; equal steps are one.

    dataset × language × model × method × tuned-on × seed  →  Cell(generate step, judge steps)

A seed makes cells of its own only where chance enters. What a model cannot do (an instruct method on a model
without instruct weights) is left out and said in the notes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from dsl.data.fingerprints import Fingerprints
from dsl.judges import AnyJudge
from dsl.methods.base import CellRequest
from dsl.plan.building import Build
from dsl.plan.comparisons import Comparisons, planted_text
from dsl.plan.contrasts import again, noise_contrasts, planned_contrasts
from dsl.plan.differences import described
from dsl.plan.requests import languages_of, requests
from dsl.plan.study import Cell, JudgePlan, Plan, Study
from dsl.spec.engines import Resolved
from dsl.spec.experiment import Experiment, JudgeProbe
from dsl.spec.resources import Execution
from dsl.steps.steps import Judged, JudgeStep, Probe
from dsl.values import Language, Name, StepId, unvalidated


@dataclass(frozen=True)
class Origin:
    """Source of an experiment: its file and overrides."""

    file: str = "<text>"
    text: str = ""
    folder: Path = field(default_factory=Path)
    """Relative paths of the spec start here."""
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences about its data that a reader of the results must know."""
    engines: tuple[Resolved, ...] = ()
    """The engines that the spec leaves open, as they were resolved."""


def compile(experiment: Experiment, fingerprints: Fingerprints, origin: Origin | None = None) -> Plan:
    """All cells and steps of a study, each step after its inputs.

    Raises:
        DataError: a file or package that the study names is not there (`dsl.checks` reports these with
            their places in the spec).
    """
    origin = origin or Origin()
    asked = tuple(requests(experiment))
    build = Build(experiment, fingerprints, origin.folder, asked)
    comparisons = Comparisons(experiment, asked)
    cells = tuple(_cell(build, comparisons, request, method) for request, method in asked)
    study = Study(
        experiment=experiment.experiment,
        question=experiment.question,
        languages=experiment.languages,
        spec_file=origin.file,
        spec_text=origin.text,
        overrides=origin.overrides,
        parallel={name: experiment.data[name].parallel for name in experiment.evaluate},
        cells=cells,
        step_ids=tuple(build.steps),
        contrasts=described(planned_contrasts(experiment, cells), cells, build.steps),
        judges=tuple(JudgePlan.of(name, build.judges[name], build.judges) for name in experiment.judges),
        noise=noise_contrasts(experiment),
        notes=(*notes(experiment), *origin.notes),
    )
    return Plan(
        study,
        build.steps,
        experiment,
        origin.folder,
        Execution(
            executor=experiment.executor,
            resources=experiment.resources,
            reuse=experiment.reuse,
            budget=experiment.budget,
        ),
        origin.engines,
    )


def notes(experiment: Experiment) -> Iterator[str]:
    """The study's own caveats and what the plan leaves out, in sentences."""
    yield from experiment.caveats
    if experiment.stop_when is not None:
        yield (
            f"Items were asked {experiment.stop_when}. Its confidence sequence and e-value hold at any number"
            " of items, and so do those of its methods' means and of other contrasts of them, where scores"
            " have bounds. Their other figures, gaps between languages and trends have no interval and no"
            " test, since these are made for a fixed number of items. † marks them all."
        )
    for method_name, method in experiment.methods.items():
        for model_name, model in experiment.models.items():
            if (why := method.why_not_applicable(model, experiment.methods)) is not None:
                yield f"{method_name} is not tried on {model_name}: {why}."
    unsized = [name for name, model in experiment.models.items() if not model.has_size()]
    if unsized and len(experiment.models) > 1:
        yield f"Not drawn by size, since `parameters` are not stated: {', '.join(unsized)}."
    for dataset in experiment.evaluate:
        if missing := [
            language for language in experiment.languages if language not in languages_of(experiment, dataset)
        ]:
            yield f"{dataset} is not asked in {', '.join(missing)}: it has no such language."


def _cell(build: Build, comparisons: Comparisons, request: CellRequest, method: Name) -> Cell:
    made = build.made(request, method)
    answers = build.add(build.answers(request, method))
    judges = _judges(build, comparisons, request, method, answers, made.generate.examples)
    name = again(method) if request.replicate else method
    key = (
        build.experiment.experiment,
        request.dataset,
        request.language,
        request.model,
        name,
        request.train_languages,
        request.seed,
        *(() if request.turn is None else (request.turn,)),
    )
    return unvalidated(
        Cell,
        cell_id=build.canonical.name("cell", build.canonical.text(key)),
        dataset=request.dataset,
        language=request.language,
        model=request.model,
        num_parameters=build.experiment.models[request.model].parameters,
        method=name,
        method_kind=build.experiment.methods[method].method,
        train_languages=request.train_languages,
        seed=request.seed,
        turn=request.turn,
        train=made.train,
        generate=answers,
        looks=build.looks(request, method),
        judges=judges,
        probes={
            planted: _probed(build, probe, judges, request.language)
            for planted, probe in ({} if request.replicate else build.experiment.judge_probes).items()
        },
    )


def _judges(
    build: Build,
    comparisons: Comparisons,
    request: CellRequest,
    method: Name,
    answers: StepId,
    examples: StepId,
) -> dict[Name, Judged]:
    """Judge -> its verdicts.

    A judge that compares has none where there is nothing to compare with, nor has one that reads its
    verdicts. The answers of a replicate are not compared, and no verdicts on them are there to be read.
    """
    by_rule = build.judges_by_rule(request, method)
    found = build.judged(by_rule, answers, examples) if by_rule else {}
    for name, judge in build.other_judges.items():
        opponents = comparisons.of(judge, request, method)
        if request.replicate and (opponents is not None or judge.judge == "recorded"):
            continue
        read = {other: found[other] for other in judge.judges() if other in found}
        if opponents == {} or (judge.judges() and not read):
            continue
        if (here := build.judge_of(judge, request, method)) is None:
            continue
        against = {
            other: build.add(build.answers(theirs, other)) for other, theirs in (opponents or {}).items()
        }
        for other in read.values():
            # whoever reads comparisons judges the same ones
            against |= cast(JudgeStep, build.steps[other.step]).against
        found |= build.judged({name: here}, answers, examples, against, read, request.replicate)
    return {name: found[name] for name in build.judges if name in found}


def _probed(
    build: Build, probe: JudgeProbe, judges: Mapping[Name, Judged], language: Language
) -> dict[Name, Judged]:
    """Judge -> its verdicts on the answers with the probe's text planted in them."""
    planted = Probe(text=planted_text(probe.plant, language), rows=probe.rows)
    wanted: dict[StepId, dict[str, AnyJudge]] = {}
    for judged in (judges[name] for name in probe.judges if name in judges):
        wanted.setdefault(judged.step, {})[judged.judge] = cast(JudgeStep, build.steps[judged.step]).judges[
            judged.judge
        ]
    made = {
        step: build.add(
            build.steps[step].model_copy(update={"judges": dict(sorted(settings.items())), "probe": planted})
        )
        for step, settings in wanted.items()
    }
    return {
        name: Judged(step=made[judges[name].step], judge=judges[name].judge)
        for name in probe.judges
        if name in judges
    }
