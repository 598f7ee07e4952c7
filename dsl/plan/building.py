"""Builder of a plan's steps: makes what the cells ask for, and remembers the parts that they share."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from dsl.data.fingerprints import PROMPT_TEXTS, RUNNERS, Fingerprints
from dsl.data.paths import CellNames
from dsl.data.prompt_text import read_prompt_text
from dsl.data.rows import Rows
from dsl.data.source import Columns, References
from dsl.data.sources import rows_in, rows_of_cell, source_of
from dsl.data.yaml_values import value_sha256
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.recorded import Settings as RecordedAnswers
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from dsl.judges.contract import JudgeSettings
from dsl.methods.base import AnyPrompt, CellRequest, CellSteps, MethodBase
from dsl.methods.parts import Dataset, DemonstrationsFrom, PromptPath
from dsl.methods.tuning import TuningMethod
from dsl.plan.needs import needs
from dsl.plan.stopping import Stopping
from dsl.spec.experiment import Experiment
from dsl.steps.identity import Canonical
from dsl.steps.prompt_forms import ChatPrompt, Demonstrations, PromptForm, PromptText, TextPrompt
from dsl.steps.steps import DataStep, GenerateStep, Judged, JudgeStep, Step
from dsl.values import Language, Name, Scalar, StepId, unvalidated


class Build:
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
        self._by_rule = {name: judge for name, judge in self.judges.items() if judge.is_by_rule()}
        self.other_judges = {name: judge for name, judge in self.judges.items() if not judge.is_by_rule()}
        self._fingerprints = fingerprints
        self._folder = folder
        self._asked = needs(experiment, asked).asked
        self._stopping = Stopping(experiment, asked, self)
        self._weights: dict[tuple[Name, str], EngineSettings] = {}
        self._examples: dict[tuple[Name, Language, int | None], StepId] = {}
        self._all_examples: dict[tuple[Name, tuple[Language, ...]], tuple[StepId, ...]] = {}
        self._texts: dict[tuple[str, Language], PromptText] = {}
        self._prompts: dict[object, PromptForm] = {}
        self._made: dict[tuple[CellRequest, Name], CellSteps] = {}
        self._judges_keyed: dict[
            tuple[tuple[Name, int], ...], tuple[Mapping[Name, str], Mapping[str, JudgeSettings]]
        ] = {}
        """Judges by their names and identities; they are kept, so that no other gets its own."""

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
        keys, settings = self._keyed(judges)
        step = self.add(
            unvalidated(
                JudgeStep,
                judges=settings,
                answers=answers,
                examples=examples,
                against=dict(against or {}),
                verdicts=dict(verdicts or {}),
                replicate=replicate,
            )
        )
        return {name: unvalidated(Judged, step=step, judge=key) for name, key in keys.items()}

    def _keyed(
        self, judges: Mapping[Name, JudgeSettings]
    ) -> tuple[Mapping[Name, str], Mapping[str, JudgeSettings]]:
        """Return the judges' keys, and the judges by them, sorted: one object each for all cells that have
        the same judges."""
        alike = tuple((name, id(judge)) for name, judge in judges.items())
        if alike not in self._judges_keyed:
            keys = {name: self.canonical.judge_key(judge) for name, judge in judges.items()}
            settings = {keys[name]: judges[name] for name in sorted(judges, key=keys.__getitem__)}
            self._judges_keyed[alike] = keys, settings
        return self._judges_keyed[alike]

    def made(self, request: CellRequest, method: Name) -> CellSteps:
        key = (request, method)
        if key not in self._made:
            made = self.experiment.methods[method].steps_for(request, self)
            if request.turn is not None and request.turn > 1:
                before = self.made(request._replace(turn=request.turn - 1), method)
                after = self.add(before.generate)
                made = made._replace(generate=made.generate.model_copy(update={"after": after}))
            if request.replicate:
                replicate = made.generate.model_copy(update={"replicate": request.replicate})
                made = made._replace(generate=replicate)
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
        request = request._replace(replicate=0, turn=None if request.turn is None else 1)
        if below.train_languages != "each":
            (tuned_on,) = below.variants(self.languages, request.language)
            request = request._replace(train_languages=tuned_on)
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

    def judges_by_rule(self, request: CellRequest, method: Name) -> dict[Name, JudgeSettings]:
        """Return the settings of the judges by rule that have verdicts on a cell."""
        names = names_of(self.experiment, request, method)
        found = {
            name: judge.of_cell(names, self._fingerprints, self._folder)
            for name, judge in self._by_rule.items()
        }
        return {name: judge for name, judge in found.items() if judge is not None}

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

    def all_examples(self, dataset: Name, languages: tuple[Language, ...]) -> tuple[StepId, ...]:
        key = (dataset, languages)
        if key not in self._all_examples:
            self._all_examples[key] = tuple(self.examples(dataset, language) for language in languages)
        return self._all_examples[key]

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
                self._fingerprints.file(path)  # which a lock and a saved plan name
                self._texts[key] = PromptText(
                    language=language, path=str(path), sha256=value_sha256(read_prompt_text(path))
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
