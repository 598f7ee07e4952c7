"""A study as a person writes it: one YAML file, validated once at the door (`dsl.checks.load`). Behind it
nothing is a dict."""

from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from dsl.engines.contract import Decoding
from dsl.judges import AnyJudge, may_be_served
from dsl.methods import METHODS, Method
from dsl.methods.base import Shipped
from dsl.methods.parts import Dataset, Model, PromptPath
from dsl.spec.budget import Budget
from dsl.spec.resources import Executor, Kind, Resources, Reuse
from dsl.steps.stopping import StopWhen
from dsl.values import Language, Name, Value

SPEC_VERSION = 1
"""The form of specs that this xp reads: raised when one that is written for it would mean something else, or
nothing."""

OneOrMore = Annotated[tuple[Name, ...], Field(min_length=1)]


class Filter(Value):
    """Cells that agree with every setting named here; a list agrees with any of its values."""

    dataset: OneOrMore | Name | None = None
    language: OneOrMore | Name | None = None
    model: OneOrMore | Name | None = None
    method: OneOrMore | Name | None = None

    def agrees(self, **cell: str) -> bool:
        """Test whether a cell with these coordinates is meant."""

        def fits(wanted: tuple[str, ...] | str | None, found: str) -> bool:
            return wanted is None or found == wanted or (isinstance(wanted, tuple) and found in wanted)

        return all(fits(getattr(self, name), value) for name, value in cell.items())


class ModelSide(Value):
    """A model as one side of a contrast with another model: the method is the same on both sides."""

    model: Name
    method: Name | None = None
    """The method on both sides; without it, each that both models have is a contrast of its own."""


class Contrast(Value):
    """Declared difference: `of` minus `against`, on the items both have. Its tests are confirmatory."""

    HINTS: ClassVar = {
        "judge": "Name the judges in a list: `on: [language]`.",
        "interaction": "Name what the difference changes with: `by: [size, language]`.",
    }

    of: Name | ModelSide
    against: Name | ModelSide
    """Two methods on each model, or two models with each method that both have: `{of: {model: a}, against:
    {model: b}}`."""
    on: OneOrMore | None = None
    """Judges, or aspects of theirs as `judge.aspect`, whose measures it is declared on. Without it, the
    study's `primary` ones. Its tests on other measures are exploratory."""
    by: tuple[Literal["size", "language"], ...] = ()
    """Properties that the difference is declared to change with, an interaction: the model's `size` (a slope
    over at least four models), the `language` (gaps between each two) or both. Then that change is tested,
    and not the difference itself."""

    @model_validator(mode="after")
    def _has_two_sides_of_a_kind(self) -> Self:
        of, against = self.of, self.against
        if isinstance(of, ModelSide) != isinstance(against, ModelSide):
            raise ValueError(
                "one side is a model and the other a method: compare two methods (`of: sft`) or two models"
                " (`of: {model: a}`)"
            )
        if isinstance(of, ModelSide) and isinstance(against, ModelSide):
            if None not in (of.method, against.method) and of.method != against.method:
                raise ValueError(
                    f"the sides differ in model and in method (`{of.method}`, `{against.method}`), so a"
                    " difference would be of neither. Name one method for both, or compare methods: `of: sft`"
                )
            if "size" in self.by:
                raise ValueError("two models have one size each: their difference cannot change with `size`")
        return self

    @property
    def method(self) -> Name | None:
        """The method on both sides of a contrast between models, where it is named."""
        named = (side.method for side in (self.of, self.against) if isinstance(side, ModelSide))
        return next(filter(None, named), None)


class JudgeProbe(Value):
    """A text planted at the end of answers, to see whether it moves the judges' verdicts on them."""

    judges: Annotated[tuple[Name, ...], Field(min_length=1)]
    plant: Name = "injection"
    """A text of `runners/judges/probes/`: it asks the judge for its best score."""
    rows: Annotated[int, Field(ge=1)] = 20
    """So many answers of each cell."""


class Experiment(Value):
    """A study: which methods, on which models, in which languages, asked what, judged how."""

    HINTS: ClassVar = {
        "serving": "Which engine serves the models is `engine: vllm`, here or in one of them.",
        "warehouse": "Where it lies is the store's matter: `xp rebuild --warehouse ADDRESS`.",
    }

    spec_version: int = SPEC_VERSION
    """The form of specs that this one is written in; without it, that of the xp that reads it."""
    experiment: Name
    """Its name: of its report and of its cells in the warehouse."""
    question: str = ""
    """The question it is to answer, in a sentence; it heads the report."""
    caveats: tuple[str, ...] = ()
    """Warnings for a reader before the numbers; the report shows them at its top."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    """Each seed is a repetition, where chance enters."""
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    engine: Literal["transformers", "vllm", "llama_cpp", "auto"] | None = None
    """The engine of all weights under `models`, and of judges that may be served, that name none themselves.
    `auto` is vLLM where there is a GPU and a vLLM that knows the model."""
    data: Annotated[dict[Name, Dataset], Field(min_length=1)]
    evaluate: Annotated[tuple[Name, ...], Field(min_length=1)]
    """The data sets whose examples are asked."""
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    prompt: Shipped | PromptPath | None = None
    """The prompt text of every method that takes one and names no other. The system message of an `instruct`
    method comes from its file, too."""
    decoding: Decoding = Decoding()
    judges: dict[Name, AnyJudge] = {}
    judge_probes: dict[Name, JudgeProbe] = {}
    """Judges that are tried with planted text."""
    contrasts: dict[Name, Contrast] = {}
    """Differences that the study was made to test. Their tests are corrected together (Holm)."""
    stop_when: StopWhen | None = None
    """Stop asking, in each data set, language and model, once a contrast is settled."""
    primary: tuple[Name, ...] = ()
    """Judges, or aspects of theirs as `judge.aspect`, on whose measures contrasts without `on` are declared;
    without it, all judges of quality."""
    baseline: Name | None = None
    """Method that every other method is compared with, on the same models. These tests are exploratory."""
    only: tuple[Filter, ...] = ()
    """Keep only the cells that one of these agrees with."""
    exclude: tuple[Filter, ...] = ()
    """Leave out the cells that one of these agrees with."""
    executor: Executor = "local"
    """The place where steps run: in processes on this machine (`local`), on the nodes of a Ray cluster
    (`ray`) or as jobs of a Slurm cluster (`slurm`). Changes no result."""
    resources: dict[Kind, Resources] = {}
    """Kind of step -> what each of them is given on a cluster, as `{sft: {num_gpus: 1}}`."""
    budget: Budget | None = None
    """Limits on what all applies of the study spend together. An apply that reaches one ends, with what is
    done, and the next one goes on where it is raised."""
    reuse: Reuse = "any"
    """Results of training, generation and judges that ask a model which are taken as they are: `any` of the
    same settings, whatever version of xp made them (the report flags a mixture), or those alone that the code
    of today made (`same_fingerprint`)."""

    @field_validator("spec_version")
    @classmethod
    def _is_read(cls, version: int) -> int:
        if version > SPEC_VERSION:
            raise ValueError(
                f"this xp reads specs up to version {SPEC_VERSION}. Upgrade it (`pip install --upgrade"
                " xp-lab`)"
            )
        if version < 1:
            raise ValueError("versions of specs begin with 1")
        return version

    @model_validator(mode="before")
    @classmethod
    def _prompt_of_all(cls, data: Any) -> Any:
        match data:
            case {"prompt": str() | {"file": str()} | PromptPath() as prompt, "methods": {}}:
                spec = cast("dict[str, Any]", data)
                methods = {name: _with(prompt, method) for name, method in spec["methods"].items()}
                return {**spec, "methods": methods}
            case _:
                return data

    @model_validator(mode="before")
    @classmethod
    def _engine_of_all(cls, data: Any) -> Any:
        match data:
            case {"engine": str() as engine}:
                spec = cast("dict[str, Any]", data)
                held = {"models": ("base", "instruct"), "judges": ("model",)}
                return spec | {
                    name: _each(spec[name], engine, *fields) for name, fields in held.items() if name in spec
                }
            case _:
                return data

    def keeps(self, *, dataset: Name, language: Language, model: Name, method: Name) -> bool:
        """Test whether a cell is part of the study, after `only` and `exclude`."""
        cell = {"dataset": dataset, "language": language, "model": model, "method": method}
        return (not self.only or any(f.agrees(**cell) for f in self.only)) and not any(
            f.agrees(**cell) for f in self.exclude
        )

    def primary_judges(self) -> tuple[Name, ...]:
        """Judges and aspects on whose measures a contrast without `on` is declared."""
        return self.primary or tuple(name for name, judge in self.judges.items() if judge.ROLE == "quality")


def _each(values: object, engine: str, *fields: str) -> object:
    """Fill an engine into models or judges as they are written, in the fields that hold weights without
    one."""

    def filled(value: object) -> object:
        written = _written(value)
        if written is None or ("judge" in written and not may_be_served(written["judge"])):
            return value
        given = {name: _written(written.get(name)) for name in fields}
        open_ = {name: one for name, one in given.items() if one is not None and "engine" not in one}
        return {**written, **{name: {"engine": engine, **one} for name, one in open_.items()}}

    named = _written(values)
    return values if named is None else {name: filled(value) for name, value in named.items()}


def _written(value: object) -> dict[str, object] | None:
    """Return a mapping as it is written; None for anything else."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _with(prompt: object, method: object) -> object:
    """Fill a prompt into a method as it is written, if it takes one and has none."""
    takes_one = {kind.model_fields["method"].default for kind in METHODS if "prompt" in kind.model_fields}
    if not isinstance(method, dict):
        return method
    written = cast("dict[str, object]", method)
    return {"prompt": prompt, **written} if written.get("method") in takes_one else written
