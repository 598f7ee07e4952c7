"""The shape of a made-up study: cells, judges and contrasts as a spec would have them, with ids as random as
real ones."""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from dsl import plugins
from dsl.data.records import Outcome
from dsl.plan.study import Cell, ContrastPlan, JudgePlan, Study
from dsl.steps.steps import Judged
from dsl.values import StepId

LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "nl", "pl")

METHODS = {
    "zero_shot": "icl",
    "urial": "icl",
    "urial_en": "icl",
    "retrieved": "icl",
    "sft": "sft",
    "sft_small": "sft",
    "sft_all": "sft",
    "dpo": "dpo",
    "dpo_base": "dpo",
    "instruct": "instruct",
}
"""Method -> kind. Temperature is above zero, so that each has its seeds."""

JUDGES = {
    "quiz": {
        "right": "contains",
        "loop": "loop",
        "language": "language",
        "opinion": "rubric",
        "second": "rubric",
        "duel": "pairwise",
    },
    "rules": {
        "follows": "ifeval",
        "loop": "loop",
        "language": "language",
        "opinion": "rubric",
        "length": "length",
    },
}
"""Data set -> judge -> kind. `ifeval` has two aspects, the others one; `duel` is against `instruct`, which is
not compared with itself."""

_QUALITY = ("duel", "follows", "opinion", "right", "second")


@dataclass(frozen=True)
class Shape:
    """Sizes of a study."""

    models: int = 20
    languages: int = 4
    methods: int = 10
    seeds: int = 5
    items: dict[str, int] = field(default_factory=lambda: {"quiz": 2000, "rules": 541})
    """Data set -> items; IFEval has 541."""

    @property
    def names(self) -> tuple[str, ...]:
        """The models'."""
        return tuple(f"model-{model:02}" for model in range(self.models))

    @property
    def n_completions(self) -> int:
        return sum(self.items.values()) * self.models * self.languages * self.methods * self.seeds


def study_of(shape: Shape) -> Study:
    """The study, its cells model by model, as a plan orders them."""
    cells = tuple(_cells(shape))
    steps = {s: None for cell in cells for s in steps_of(cell)}
    return Study(
        experiment="scale",
        question="Which is better, and where?",
        languages=LANGUAGES[: shape.languages],
        spec_file="scale.yaml",
        spec_text="experiment: scale\n",
        parallel=dict.fromkeys(shape.items, True),
        cells=cells,
        step_ids=(*(examples_of(d, c) for d in shape.items for c in LANGUAGES[: shape.languages]), *steps),
        contrasts=(
            ContrastPlan(name="icl_gap", of="urial", against="instruct", on=_QUALITY),
            ContrastPlan(name="tuning", of="sft", against="zero_shot", on=_QUALITY),
        ),
        judges=tuple(_judges()),
    )


def _judges() -> Iterator[JudgePlan]:
    for name, kind in {name: kind for judges in JUDGES.values() for name, kind in judges.items()}.items():
        yield JudgePlan.of(
            name, plugins.settings_of("judges", kind).model_validate(_settings(name, kind)), {}
        )


def _settings(name: str, kind: str) -> dict[str, object]:
    model = {"model": {"engine": "openai", "name": f"judge-{name}"}} if kind in ("rubric", "pairwise") else {}
    return {"judge": kind, **model, **({"against": "instruct"} if kind == "pairwise" else {})}


def _cells(shape: Shape) -> Iterator[Cell]:
    for place, model in enumerate(shape.names):
        for dataset in shape.items:
            for language in LANGUAGES[: shape.languages]:
                for method, kind in list(METHODS.items())[-shape.methods :]:
                    for seed in range(shape.seeds):
                        at = (dataset, language, model, method, seed)
                        judges = {
                            j: Judged(step=_id("judge", *at, j), judge=j)
                            for j in JUDGES[dataset]
                            if not (j == "duel" and method == "instruct")
                        }
                        yield Cell(
                            cell_id=_id("cell", *at),
                            dataset=dataset,
                            language=language,
                            model=model,
                            num_parameters=round(1e8 * 1.3**place),
                            method=method,
                            method_kind=kind,
                            train_languages=(language,) if kind in ("sft", "dpo") else (),
                            seed=seed,
                            generate=_id("generate", *at),
                            judges=judges,
                        )


def steps_of(cell: Cell) -> tuple[StepId, ...]:
    """The step that answers for a cell, and those that judge."""
    return cell.generate, *(judged.step for judged in cell.judges.values())


def examples_of(dataset: str, language: str) -> StepId:
    """The data step that holds a data set in a language."""
    return _id("data", dataset, language)


def settings_of(study: Study, models: Collection[str]) -> Iterator[tuple[StepId, str, str]]:
    """Every step that answers or judges for these models, with its `step.json` and `outcome.json`."""
    opponents = {
        (c.dataset, c.language, c.model, c.seed): c.generate for c in study.cells if c.method == "instruct"
    }
    for cell in study.cells:
        if cell.model not in models:
            continue
        examples = examples_of(cell.dataset, cell.language)
        asked = {
            "kind": "generate",
            "model": {"engine": "transformers", "hub": cell.model},
            "examples": examples,
            "seed": cell.seed,
        }
        yield cell.generate, json.dumps(asked), _outcome(cell.generate)
        for judge, judged in cell.judges.items():
            kind = JUDGES[cell.dataset][judge]
            against = (
                {"instruct": opponents[cell.dataset, cell.language, cell.model, cell.seed]}
                if kind == "pairwise"
                else {}
            )
            step = {
                "kind": "judge",
                "judges": {judge: _settings(judge, kind)},
                "answers": cell.generate,
                "examples": examples,
                "against": against,
                "probe": None,
            }
            yield judged.step, json.dumps(step), _outcome(judged.step)


def _outcome(step_id: StepId) -> str:
    facts: dict[str, str | int | float | bool | None] = {
        "n_parameters": 135_000_000,
        "device": "cuda",
        "dtype": "bfloat16",
    }
    return Outcome(
        step_id=step_id, seconds=60.0, n_rows=2000, versions={"torch": "2.13.0"}, facts=facts
    ).model_dump_json()


def _id(kind: str, *at: object) -> str:
    return f"{kind}-{hashlib.sha256(repr(at).encode()).hexdigest()[:16]}"
