"""Small stores to load: studies whose scores one can add up in one's head."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dsl.data.records import (
    Completion,
    Example,
    FinishReason,
    Label,
    Outcome,
    RefLogps,
    Run,
    TrainMetric,
    Trial,
    Verdict,
)
from dsl.data.source import Columns, HubSource
from dsl.engines.contract import Decoding
from dsl.plan.study import Cell, ContrastPlan, JudgePlan, Study
from dsl.plugins import settings_of
from dsl.steps.identity import step_id
from dsl.steps.steps import DataStep, GenerateStep, Judged, JudgeStep, Step
from dsl.values import StepId, Value

Scores = Mapping[str, float | str | None]
"""Item -> score, or why there is none."""


NEEDED: Mapping[str, Mapping[str, object]] = {
    "decision": {"model": {"hub": "a/judge"}},
    "ensemble": {"of": ("x", "y")},
    "pairwise": {"against": "all", "model": {"engine": "openai", "name": "a judge"}},
    "recorded": {"verdicts": {"path": "a.csv"}, "columns": {"item": "id", "score": "score"}},
    "reward": {"model": {"hub": "a/judge"}},
    "rubric": {"model": {"engine": "openai", "name": "a judge"}},
}
"""Kind of judge -> the settings it cannot do without."""


KEY = "0123456789ab"
"""The judge's key in every step here."""


class StoreMaker:
    """Writes the files of a store as the runners do. Every `cell` is of one study until `study` writes it
    down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells: list[Cell] = []
        self.judges: dict[str, JudgePlan] = {}
        """All that any cell had: a name is of one kind."""
        self._n = 0

    def step(
        self,
        step: Step,
        name: str,
        rows: list[Value],
        *,
        step_id_: StepId | None = None,
        facts: Mapping[str, int] | None = None,
    ) -> StepId:
        """A finished step and its rows."""
        found = step_id_ or step_id(step)
        folder = self.folder / "steps" / found
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "step.json").write_text(step.model_dump_json(), "utf-8")
        (folder / name).write_text("".join(row.model_dump_json() + "\n" for row in rows), "utf-8")
        outcome = Outcome(
            step_id=found, seconds=2.0, n_rows=len(rows), peak_memory_bytes=1024, facts=dict(facts or {})
        )
        (folder / "outcome.json").write_text(outcome.model_dump_json(), "utf-8")
        return found

    def data(self, examples: list[Example], language: str = "en", dataset: str = "quiz") -> StepId:
        step = DataStep(source=HubSource(hub=dataset, split="test"), columns=Columns(), language=language)
        return self.step(step, "examples.jsonl", list(examples))

    def generate(
        self,
        texts: Mapping[str, str | None],
        examples: StepId = "data-0000000000000000",
        language: str = "en",
        finish_reason: Mapping[str, FinishReason] | None = None,
        facts: Mapping[str, int] | None = None,
    ) -> StepId:
        self._n += 1
        step = GenerateStep(
            model=settings_of("engines", "echo")(),
            examples=examples,
            prompt=None,
            decoding=Decoding(max_new_tokens=self._n),
            seed=None,
        )
        rows = [
            completion(
                item,
                text,
                language=language,
                finish_reason=(finish_reason or {}).get(item, "eos" if text is not None else "missing"),
            )
            for item, text in texts.items()
        ]
        return self.step(step, "completions.jsonl", list(rows), facts=facts)

    def judge(
        self,
        answers: StepId,
        kind: str,
        scores: Scores | Mapping[str, Scores],
        language: str = "en",
        against: Mapping[str, StepId] | None = None,
        distribution: Mapping[str, float] | None = None,
    ) -> Judged:
        """Scores of a judge of one aspect, or of several: aspect -> scores. Each opponent in `against` gets
        the same."""
        settings = {"judge": kind, **NEEDED.get(kind, {})}
        step = JudgeStep.model_validate(
            {
                "judges": {KEY: settings},
                "answers": answers,
                "examples": "data-0000000000000000",
                "against": dict(against or {}),
            }
        )
        aspects = {aspect: found for aspect, found in scores.items() if isinstance(found, Mapping)} or {
            kind: scores
        }
        told = {"distribution": dict(distribution) if distribution else None}
        rows = [
            verdict(item, score, aspect, language).model_copy(update={"against": other, **told})
            for aspect, found in aspects.items()
            for item, score in found.items()
            for other in against or (None,)
        ]
        self._n += 1
        return Judged(
            step=self.step(step, "verdicts.jsonl", list(rows), step_id_=f"judge-{self._n:016x}"), judge=KEY
        )

    def reference(self) -> StepId:
        pair = RefLogps(
            row_key="0" * 64,
            item="1",
            language="en",
            ref_chosen_logps=-3.5,
            ref_rejected_logps=-9.0,
            n_tokens=12,
        )
        return self.step(
            Step(kind="reference_logps"),
            "ref_logps.jsonl",
            [pair],
            step_id_="reference_logps-0000000000010001",
        )

    def train(
        self, kind: str, losses: list[float], num_tokens: int = 0, facts: Mapping[str, int] | None = None
    ) -> StepId:
        self._n += 1
        rows = [TrainMetric(global_step=i, name="loss", value=loss) for i, loss in enumerate(losses, 1)]
        if num_tokens:
            rows.append(TrainMetric(global_step=len(losses), name="num_tokens", value=num_tokens))
        step_id = f"{kind}-{self._n:016x}"
        return self.step(Step(kind=kind), "metrics.jsonl", list(rows), facts=facts, step_id_=step_id)

    def select(self, trials: Mapping[StepId, float], facts: Mapping[str, int] | None = None) -> StepId:
        """Choose among trainings by their loss on validation rows."""
        self._n += 1
        rows = [
            Trial(
                trial_id=trial,
                varied=f"training.learning_rate: {place}",
                metric_for_best_model="eval_loss",
                best_metric=loss,
                best_global_step=2,
                n_validation_rows=9,
                is_chosen=loss == min(trials.values()),
            )
            for place, (trial, loss) in enumerate(trials.items(), 1)
        ]
        step_id = f"select-{self._n:016x}"
        return self.step(Step(kind="select"), "trials.jsonl", list(rows), facts=facts, step_id_=step_id)

    def cell(
        self,
        method: str = "icl",
        *,
        scores: Mapping[str, Scores | Mapping[str, Scores]] | None = None,
        texts: Mapping[str, str | None] | None = None,
        finish_reason: Mapping[str, FinishReason] | None = None,
        dataset: str = "quiz",
        language: str = "en",
        model: str = "tiny",
        num_parameters: int | None = 1000,
        train_languages: tuple[str, ...] = (),
        train: tuple[StepId, ...] = (),
        seed: int | None = None,
        turn: int | None = None,
        generate: StepId | None = None,
        examples: StepId = "data-0000000000000000",
        facts: Mapping[str, int] | None = None,
        against: Mapping[str, StepId] | None = None,
        distribution: Mapping[str, float] | None = None,
    ) -> Cell:
        """A cell with its finished steps. `scores` names each judge by its kind (`contains`), or as
        `name=kind`; where there is `against`, opponent -> its answers, they are of comparisons. A
        `distribution` is that of every verdict."""
        scores = scores or {}
        if generate is None:
            items = [item for found in scores.values() for item in found]
            generate = self.generate(
                texts or dict.fromkeys(items, "four"), examples, language, finish_reason, facts
            )
        judges = {
            name.split("=")[0]: self.judge(
                generate, name.split("=")[-1], found, language, against, distribution
            )
            for name, found in scores.items()
        }
        for name, found in scores.items():
            self.described(
                name.split("=")[0],
                name.split("=")[-1],
                [a for a, of in found.items() if isinstance(of, Mapping)],
            )
        self._n += 1
        cell = Cell(
            cell_id=f"cell-{self._n:016x}",
            dataset=dataset,
            language=language,
            model=model,
            num_parameters=num_parameters,
            method=method,
            method_kind="icl",
            train_languages=train_languages,
            seed=seed,
            turn=turn,
            train=train,
            generate=generate,
            judges=judges,
        )
        self.cells.append(cell)
        return cell

    def described(self, name: str, kind: str, aspects: Iterable[str] = (), **more: object) -> None:
        """Say what a judge is; `more` are settings that it cannot do without. Rubrics go from 1 to 5 on any
        aspect."""
        self.judges[name] = described(name, kind, aspects, self.judges.get(name), **more)

    def study(
        self,
        experiment: str = "trial",
        contrasts: tuple[ContrastPlan, ...] = (),
        parallel: bool = True,
        noise: tuple[ContrastPlan, ...] = (),
    ) -> Study:
        """Write down the study of all cells made since the last one."""
        steps = [
            s
            for cell in self.cells
            for s in (*cell.train, cell.generate, *(judged.step for judged in cell.judges.values()))
        ]
        study = Study(
            experiment=experiment,
            question="Which is better?",
            languages=tuple(dict.fromkeys(cell.language for cell in self.cells)) or ("en",),
            spec_file="specs/trial.yaml",
            spec_text="experiment: trial\n",
            parallel={cell.dataset: parallel for cell in self.cells},
            cells=tuple(self.cells),
            step_ids=tuple(dict.fromkeys(steps)),
            contrasts=contrasts,
            noise=noise,
            judges=tuple(
                self.judges[name]
                for name in dict.fromkeys(name for cell in self.cells for name in cell.judges)
            ),
            notes=("One model only.",),
        )
        folder = self.folder / "experiments"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{experiment}.json").write_text(study.model_dump_json(), "utf-8")
        self.cells = []
        return study

    def label(self, judge: str, labels: list[Label], experiment: str = "trial") -> None:
        """Write the labels of one annotator, in the place of earlier ones."""
        folder = self.folder / "labels" / experiment
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{judge}.jsonl").write_text(
            "".join(label.model_dump_json() + "\n" for label in labels), "utf-8"
        )

    def run(
        self,
        run_id: str,
        step: StepId,
        status: str = "done",
        experiment: str = "trial",
        error: str | None = None,
    ) -> None:
        folder = self.folder / "runs"
        folder.mkdir(parents=True, exist_ok=True)
        run = Run.model_validate(
            {
                "run_id": run_id,
                "step_id": step,
                "experiment": experiment,
                "started_at": f"2026-01-02T03:04:{len(list(folder.iterdir())):02}Z",
                "seconds": 3.0,
                "status": status,
                "error": error,
                "host": "here",
            }
        )
        (folder / f"{run_id}.json").write_text(run.model_dump_json(), "utf-8")


def described(
    name: str, kind: str, aspects: Iterable[str] = (), known: JudgePlan | None = None, **more: object
) -> JudgePlan:
    """A judge as a study describes it, with the aspects that it has verdicts on."""
    settings = settings_of("judges", kind).model_validate({"judge": kind, **NEEDED.get(kind, {}), **more})
    plan = JudgePlan.of(name, settings, {})
    width = (1.0, 5.0) if kind in ("rubric", "decision") else plan.scales.get(kind, (0.0, 1.0))
    found = dict.fromkeys(aspects, width) | (plan.scales if not aspects else {})
    return plan.model_copy(update={"scales": {**(known.scales if known else {}), **found}})


def completion(
    item: str, text: str | None, language: str = "en", finish_reason: FinishReason = "eos", prompt: str = ""
) -> Completion:
    return Completion(
        row_key="0" * 64,
        item=item,
        language=language,
        prompt=prompt or f"question {item}",
        text=text,
        raw_text=text,
        finish_reason=finish_reason,
        error=None if text is not None else "no recorded answer",
        max_new_tokens=9,
        n_prompt_tokens=10,
        n_new_tokens=5 if text is not None else None,
        seconds=0.5,
        engine="echo",
    )


def verdict(item: str, score: float | str | None, aspect: str = "contains", language: str = "en") -> Verdict:
    scored = not isinstance(score, str)
    return Verdict(
        row_key="0" * 64,
        judge=KEY,
        item=item,
        language=language,
        aspect=aspect,
        score=score if scored else None,
        unscored_reason=None if scored else score,
        n_prompt_tokens=20,
        n_new_tokens=1,
        usd=0.25,
    )


def storage_version(path: Path) -> int:
    """Return the version of a DuckDB file's format, by which clients say whether they can read it."""
    head = path.read_bytes()[:20]
    assert head[8:12] == b"DUCK"
    return int.from_bytes(head[12:20], "little")
