"""Experiment → Plan: every cell of the matrix becomes its steps; equal steps are one.

    dataset × language × model × method × tuned-on × seed  →  Cell(generate step, judge steps)

A seed makes cells of its own only where chance enters. What a model cannot do (an instruct method on a model
without instruct weights) is left out and said in the notes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from dsl.data.fingerprints import PROMPT_TEXTS, RUNNERS, Fingerprints
from dsl.data.paths import CellNames
from dsl.data.rows import Rows
from dsl.data.source import Columns, References
from dsl.data.sources import rows_in, rows_of_cell, source_of
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.recorded import Settings as RecordedAnswers
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.judges import AnyJudge
from dsl.judges.contract import JudgeSettings
from dsl.methods.base import AnyPrompt, CellRequest, CellSteps, MethodBase
from dsl.methods.parts import Dataset, DemonstrationsFrom, PromptPath
from dsl.methods.tuning import TuningMethod
from dsl.plan.comparisons import Comparisons, planted_text
from dsl.plan.contrasts import again, noise_contrasts, planned_contrasts
from dsl.plan.differences import described
from dsl.plan.needs import needs
from dsl.plan.stopping import Stopping
from dsl.plan.study import Cell, JudgePlan, Plan, Study
from dsl.spec.engines import Resolved
from dsl.spec.experiment import Experiment, JudgeProbe
from dsl.spec.resources import Execution
from dsl.steps.identity import Canonical
from dsl.steps.prompt_forms import ChatPrompt, Demonstrations, PromptForm, PromptText, TextPrompt
from dsl.steps.steps import DataStep, GenerateStep, Judged, JudgeStep, Probe, Step
from dsl.values import Language, Name, Scalar, StepId


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
    build = _Build(experiment, fingerprints, origin.folder, asked)
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


def requests(experiment: Experiment) -> Iterator[tuple[CellRequest, Name]]:
    """The coordinates of every cell, with the method's name, in the spec's order."""
    for dataset in experiment.evaluate:
        languages = languages_of(experiment, dataset)
        for model_name, model in experiment.models.items():
            for method_name, method in experiment.methods.items():
                if method.why_not_applicable(model, experiment.methods) is not None:
                    continue
                seeds: tuple[int | None, ...] = (
                    experiment.seeds if method.is_stochastic or _samples(experiment, method) else (None,)
                )
                for language in languages:
                    if not experiment.keeps(
                        dataset=dataset, language=language, model=model_name, method=method_name
                    ):
                        continue
                    for tuned_on in method.variants(experiment.languages, language):
                        for seed in seeds:
                            for turn in experiment.data[dataset].columns.in_turn:
                                cell = CellRequest(dataset, language, model_name, tuned_on, seed, turn)
                                yield cell, method_name
                                if method.noise:
                                    yield replace(cell, replicate=1), method_name


def languages_of(experiment: Experiment, dataset: Name) -> tuple[Language, ...]:
    """The study's languages that a data set has, in the study's order."""
    has = experiment.data[dataset].languages
    return tuple(language for language in experiment.languages if has is None or language in has)


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


def _samples(experiment: Experiment, method: MethodBase) -> bool:
    return experiment.decoding.is_sampled and method.method != "recorded"


def _cell(build: "_Build", comparisons: Comparisons, request: CellRequest, method: Name) -> Cell:
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
    return Cell.model_construct(
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
    build: "_Build",
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
    by_rule = {
        name: here
        for name, judge in build.judges_by_rule.items()
        if (here := build.judge_of(judge, request, method)) is not None
    }
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
    build: "_Build", probe: JudgeProbe, judges: Mapping[Name, Judged], language: Language
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


class _Build:
    """Makes steps and remembers the parts they share (`dsl.methods.base.Builder`)."""

    def __init__(
        self,
        experiment: Experiment,
        fingerprints: Fingerprints,
        folder: Path,
        asked: Sequence[tuple[CellRequest, Name]],
    ) -> None:
        self.experiment = experiment
        self.languages = experiment.languages
        self.decoding: Decoding = experiment.decoding
        self.steps: dict[StepId, Step] = {}
        self.canonical = Canonical()
        asked_too = {one.affinity() for model in experiment.models.values() for one in model.weights()}
        pinned = {
            name: judge.on_server_of(asked_too, self._lora_rank).pinned(
                experiment.languages, fingerprints, folder
            )
            for name, judge in sorted(experiment.judges.items(), key=lambda named: len(named[1].judges()) > 0)
        }
        self.judges: dict[Name, JudgeSettings] = {name: judge.among(pinned) for name, judge in pinned.items()}
        """Those that read other judges' verdicts come last."""
        self.judges_by_rule = {name: judge for name, judge in self.judges.items() if judge.is_by_rule()}
        self.other_judges = {name: judge for name, judge in self.judges.items() if not judge.is_by_rule()}
        self._fingerprints = fingerprints
        self._folder = folder
        self._asked = needs(experiment, asked).asked
        self._stopping = Stopping(experiment, asked, self)
        self._weights: dict[tuple[Name, str], EngineSettings] = {}
        self._examples: dict[tuple[Name, Language, int | None], StepId] = {}
        self._texts: dict[tuple[str, Language], PromptText] = {}
        self._prompts: dict[object, PromptForm] = {}
        self._made: dict[tuple[CellRequest, Name], CellSteps] = {}

    def add(self, step: Step) -> StepId:
        step_id = self.canonical.step_id(step)
        self.steps.setdefault(step_id, step)
        return step_id

    def judged(
        self,
        judges: Mapping[Name, JudgeSettings],
        answers: StepId,
        examples: StepId,
        against: Mapping[Name, StepId] | None = None,
        verdicts: Mapping[Name, Judged] | None = None,
        replicate: int = 0,
    ) -> dict[Name, Judged]:
        """One step for these judges: name -> its verdicts."""
        keys = {name: self.canonical.judge_key(judge) for name, judge in judges.items()}
        step = self.add(
            JudgeStep.model_construct(
                kind="judge",
                judges={keys[name]: judges[name] for name in sorted(judges, key=keys.__getitem__)},
                answers=answers,
                examples=examples,
                against=dict(against or {}),
                verdicts=dict(verdicts or {}),
                probe=None,
                replicate=replicate,
            )
        )
        return {name: Judged(step=step, judge=key) for name, key in keys.items()}

    def made(self, request: CellRequest, method: Name) -> CellSteps:
        key = (request, method)
        if key not in self._made:
            made = self.experiment.methods[method].steps_for(request, self)
            if request.turn is not None and request.turn > 1:
                before = self.made(replace(request, turn=request.turn - 1), method)
                after = self.add(before.generate)
                made = replace(made, generate=made.generate.model_copy(update={"after": after}))
            if request.replicate:
                replicate = made.generate.model_copy(update={"replicate": request.replicate})
                made = replace(made, generate=replicate)
            self._made[key] = made
        return self._made[key]

    def answers(self, request: CellRequest, method: Name) -> GenerateStep:
        """Return the step that has a cell's answers."""
        return self._stopping.answers(request, method) or self.made(request, method).generate

    def looks(self, request: CellRequest, method: Name) -> tuple[StepId, ...]:
        """Return the looks at the contrast that stops a cell's asking."""
        return self._stopping.looks(request, method)

    def trained(self, request: CellRequest, method: Name) -> CellSteps:
        below = self.experiment.methods[method]
        if not isinstance(below, TuningMethod):
            raise DataError(f"`{method}` is not a method that trains")
        # of its cells the first question's: those before a later one would be asked, too
        request = replace(request, replicate=0, turn=None if request.turn is None else 1)
        if below.train_languages != "each":
            (tuned_on,) = below.variants(self.languages, request.language)
            request = replace(request, train_languages=tuned_on)
        return self.made(request, method)

    def weights(self, name: Name, which: Literal["base", "instruct"]) -> EngineSettings:
        key = (name, which)
        if key not in self._weights:
            settings = getattr(self.experiment.models[name], which)
            pinned = cast(EngineSettings, settings).pinned(self._fingerprints, self._folder)
            self._weights[key] = pinned.for_adapters(self._lora_rank)
        return self._weights[key]

    def asked_with(self, name: Name, weights: Weights) -> EngineSettings:
        model = self.experiment.models[name]
        for which in ("base", "instruct"):
            settings = None if getattr(model, which) is None else self.weights(name, which)
            if not isinstance(settings, Weights) or settings.tuned_elsewhere is not None:
                continue
            if settings.loaded_here == weights:
                return settings
        return weights

    @cached_property
    def _lora_rank(self) -> int:
        """The largest rank of the study's adapters; 0 without any."""
        tuning = (one for one in self.experiment.methods.values() if isinstance(one, TuningMethod))
        loras = (trial.lora for method in tuning for _, trial in method.trials())
        return max((lora.r for lora in loras if lora is not None), default=0)

    def judge_of(self, judge: JudgeSettings, request: CellRequest, method: Name) -> JudgeSettings | None:
        """A judge's settings for one cell; None where it has no verdicts on it."""
        names = names_of(self.experiment, request, method)
        return judge.of_cell(names, self._fingerprints, self._folder)

    def verdicts(self, judge: Name, answers: StepId, examples: StepId) -> Judged:
        return self.judged({judge: self.judges[judge]}, answers, examples)[judge]

    def asked(self, request: CellRequest) -> StepId:
        return self.examples(request.dataset, request.language, request.turn)

    def examples(self, dataset: Name, language: Language, turn: int | None = None) -> StepId:
        key = (dataset, language, turn)
        if key not in self._examples:
            data = self.experiment.data[dataset]
            self._examples[key] = self.add(data_step(data, language, turn, self._fingerprints, self._folder))
        return self._examples[key]

    def prompt(
        self,
        request: CellRequest,
        prompt: AnyPrompt,
        num_fewshot: int = 0,
        *,
        language: Language | None = None,
        preamble: bool = True,
        demonstrations_language: Language | None = None,
        demonstrations: DemonstrationsFrom | None = None,
        system: bool = False,
        chat_template_kwargs: Mapping[str, Scalar] | None = None,
    ) -> PromptForm:
        language = language or request.language
        arguments = tuple(sorted((chat_template_kwargs or {}).items()))
        key = (
            prompt,
            num_fewshot,
            language,
            preamble,
            demonstrations_language,
            demonstrations,
            system,
            arguments,
            request.dataset if demonstrations else "",
        )
        if key not in self._prompts:
            if prompt == "chat":
                text = self._text(self.experiment.prompt or "fenced", language) if system else None
                made: PromptForm = ChatPrompt(
                    system=text,
                    template=self._fingerprints.file(RUNNERS / "prompting" / "chat_template.jinja"),
                    chat_template_kwargs=arguments,
                )
            else:
                shown_in = demonstrations_language or language
                made = TextPrompt(
                    text=self._text(prompt, language),
                    num_fewshot=num_fewshot,
                    preamble=preamble,
                    demonstrations_text=self._text(prompt, shown_in) if shown_in != language else None,
                    demonstrations=(
                        None
                        if demonstrations is None
                        else self._demonstrations(request.dataset, demonstrations, shown_in)
                    ),
                    ends_at_fence=prompt != "urial",
                )
            self._prompts[key] = made
        return self._prompts[key]

    def recorded(
        self, request: CellRequest, method: MethodBase, rows: Rows, columns: Columns
    ) -> EngineSettings:
        name = next(name for name, one in self.experiment.methods.items() if one is method)
        here = rows_of_cell(rows, names_of(self.experiment, request, name))
        language = request.language if columns.language is not None else None
        return RecordedAnswers(
            answers=source_of(here, self._fingerprints, self._folder, request.language),
            columns=columns,
            language=language,
        )

    def _demonstrations(
        self, dataset: Name, wanted: DemonstrationsFrom, language: Language
    ) -> Demonstrations:
        keep_out = tuple(
            sorted(
                self.examples(dataset, asked, turn)
                for asked in self._asked[dataset]
                for turn in self.experiment.data[dataset].columns.in_turn
            )
        )
        return Demonstrations(
            pool=self.examples(wanted.source, language), select=wanted.select, keep_out=keep_out
        )

    def _text(self, prompt: str | PromptPath, language: Language) -> PromptText:
        key = (prompt if isinstance(prompt, str) else prompt.file, language)
        if key not in self._texts:
            if isinstance(prompt, str):
                self._texts[key] = PromptText(
                    language=language, sha256=self._fingerprints.file(PROMPT_TEXTS / f"{language}.yaml")
                )
            else:
                path = prompt.of(language, self._folder)
                self._texts[key] = PromptText(
                    language=language, path=str(path), sha256=self._fingerprints.file(path)
                )
        return self._texts[key]


def names_of(experiment: Experiment, request: CellRequest, method: Name) -> CellNames:
    """Names of a cell, as paths of recorded answers and verdicts have them."""
    word = experiment.models[request.model].recorded
    return CellNames(
        request.dataset, request.language, request.model, method, request.seed, word, request.turn
    )


def data_step(
    data: Dataset, language: Language, turn: int | None, fingerprints: Fingerprints, folder: Path
) -> DataStep:
    """The step that reads one turn of a data set in one language. Raises as `source_of`."""
    return DataStep(
        source=source_of(rows_in(data.rows, language), fingerprints, folder, language),
        columns=data.columns,
        language=language,
        limit=data.limit,
        turn=turn,
        references=references_of(data, fingerprints, folder, language),
    )


def references_of(
    data: Dataset, fingerprints: Fingerprints, folder: Path, language: Language
) -> References | None:
    """The file of a data set's references in one language; None where it has none. Raises as `source_of`."""
    given = data.references
    if given is None:
        return None
    source = source_of(rows_in(given.rows, language), fingerprints, folder, language)
    return References(source=source, item=given.item, reference=given.reference)
