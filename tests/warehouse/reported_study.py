"""A small study on disk, as a finished run leaves it, whose models and judges wrote what an attacker would
have written."""

import hashlib
import json
import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from dsl.data.records import Completion, Example, Label, Outcome, Run, TrainMetric, Verdict
from dsl.plan.study import Cell, ContrastPlan, JudgePlan, Study
from dsl.plugins import settings_of
from dsl.steps.steps import Judged
from dsl.values import Value
from tests.warehouse.stores import KEY
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import load_store, load_study
from warehouse.load.files import read_outcome
from warehouse.load.steps import load_batches, new_steps

HOSTILE = (
    "<script>window.hacked = 'script'</script>",
    "<img src=x onerror=\"window.hacked = 'img'\">",
    "[x](javascript:window.hacked='link') <a href=\"javascript:window.hacked='href'\">click</a>",
    "</script><script>window.hacked = 'close'</script><!-- <script>",
    (
        "</text></svg><svg onload=\"window.hacked='svg'\"><foreignObject><body"
        " onload=\"window.hacked='body'\"></svg>"
    ),
    "]]>&lt;b&gt; \u2028\u2029 ${window.hacked='template'} `{{ 7 * 7 }}` {% raw %} \u202e أهلا \x7f",
)
"""Answers, instructions, reasons, errors and specs that must be seen as text and do nothing."""

QUALITY = ("helpfulness", "depth")
JUDGES = {
    "contains": "contains",
    "quality": "rubric",
    "second": "decision",
    "duel": "pairwise",
    "follows": "ifeval",
    "loop": "loop",
    "language": "language",
}
"""A judge's name -> its kind."""

ASPECTS = {"rubric": QUALITY, "decision": QUALITY[:1], "ifeval": ("strict", "loose")}
"""Aspects of a kind that has more than one, or calls its one by another name."""

OPPONENT = "urial"
"""Whom `duel` compares every other method's answers with."""

PERSON = "anna"
"""The annotator."""
METHODS = {"zero_shot": "icl", "urial": "icl", "sft": "sft", "dpo": "dpo"}
MODELS = {"tiny": 135_000_000, "small": 1_700_000_000}
SKILL = {
    "zero_shot": 0.15,
    "urial": 0.75,
    "sft": 0.45,
    "dpo": 0.5,
    "urial_en": 0.5,
    "dpo_sft": 0.55,
    "instruct": 0.4,
}
"""Share of answers of a method that are right."""


def write_study(
    store: Path,
    experiment: str = "hostile",
    methods: Mapping[str, str] = METHODS,
    models: Mapping[str, int] = MODELS,
    languages: Sequence[str] = ("en", "fr", "es"),
    n_items: int = 6,
    contrasts: Sequence[tuple[str, str]] = (("urial", "zero_shot"), ("dpo", "sft")),
    texts: Sequence[str] = HOSTILE,
    instructions: Sequence[str] = HOSTILE,
    is_labelled: bool = True,
    declared_on: Sequence[str] = (),
    in_english: Collection[str] = (),
) -> Path:
    """Write the study's files, load them, and return the warehouse. One step failed, and some verdicts have
    no score. Contrasts are declared on the judges `declared_on`; methods `in_english` answer in English
    alone."""
    cells: list[Cell] = []
    steps: list[str] = []
    for language in languages:
        data = _step_id("data", experiment, language)
        steps.append(data)
        _write_step(
            store,
            data,
            {"kind": "data"},
            "examples.jsonl",
            [_example(i, language, instructions) for i in range(n_items)],
        )
        for model, num_parameters in models.items():
            for method, kind in methods.items():
                cell = _cell(
                    store, experiment, language, model, num_parameters, method, kind, data, n_items, texts,
                    speaks_english=method in in_english and language != "en",
                )  # fmt: skip
                cells.append(cell)
                probed = [judged.step for judges in cell.probes.values() for judged in judges.values()]
                steps += [
                    *cell.train,
                    cell.generate,
                    *(judged.step for judged in cell.judges.values()),
                    *probed,
                ]
    failed = _step_id("judge", experiment, "failed")
    run = Run(
        run_id="run-1",
        step_id=failed,
        experiment=experiment,
        started_at="2026-01-02T03:04:05Z",
        seconds=2,
        status="failed",
        error=f"judge went down: {HOSTILE[0]}",
        host="lab<b>1</b>",
    )
    _write(store / "runs" / "run-1.json", run.model_dump_json())
    study = Study(
        experiment=experiment,
        question="Prompt it, tune it, or align it? </title><script>window.hacked = 'question'</script>",
        languages=tuple(languages),
        spec_file="specs/hostile.yaml",
        spec_text="experiment: hostile  # " + "\n# ".join(HOSTILE),
        overrides=("decoding.max_new_tokens=64",),
        parallel={"facts": True},
        cells=tuple(cells),
        step_ids=(*dict.fromkeys(steps), failed),
        contrasts=tuple(
            ContrastPlan(name=f"{of}_over_{against}", of=of, against=against, on=tuple(sorted(declared_on)))
            for of, against in contrasts
        ),
        judges=tuple(
            JudgePlan.of(name, settings_of("judges", kind).model_validate(_judge(kind)), {})
            for name, kind in JUDGES.items()
        ),
        notes=("The model speaks English only. " + HOSTILE[1],),
    )
    _write(store / "experiments" / f"{experiment}.json", study.model_dump_json())
    if is_labelled:
        _label(store, study)
    load_store(store, study.step_ids, study)
    return store / WAREHOUSE


def _cell(
    store: Path,
    experiment: str,
    language: str,
    model: str,
    num_parameters: int,
    method: str,
    kind: str,
    data: str,
    n_items: int,
    texts: Sequence[str],
    speaks_english: bool,
) -> Cell:
    chance = random.Random(f"{language} {model} {method}")
    name = f"{language} {model} {method}"
    train: tuple[str, ...] = ()
    if kind in ("sft", "dpo"):
        train = (_step_id(kind, experiment, name),)
        names = ("loss",) if kind == "sft" else ("loss", "rewards/margins")
        metrics = [
            TrainMetric(
                global_step=step,
                name=metric,
                value=(0.7 / (1 + step / 20) if metric == "loss" else step / 30) + chance.random() / 20,
            )
            for step in range(1, 41)
            for metric in names
        ]
        _write_step(store, train[0], {"kind": kind}, "metrics.jsonl", metrics, seconds=80)
    generate = _step_id("generate", experiment, name)
    completions = [_completion(item, language, method, texts, chance) for item in range(n_items)]
    settings = {"kind": "generate", "examples": data}
    facts = {"device": "cpu", "dtype": "float32", "n_parameters": num_parameters}
    _write_step(
        store,
        generate,
        settings,
        "completions.jsonl",
        completions,
        seconds=20 + 10 * chance.random(),
        facts=facts,
    )
    skill = SKILL[method] * (1 if language == "en" else 0.7) * (0.6 if num_parameters < 1e9 else 1)

    def judged(judge: str, probe: str = "") -> Judged:
        step_id, judge_kind = _step_id("judge", experiment, name, judge, probe), JUDGES[judge]
        verdicts = [
            v
            for item in range(n_items)
            for v in _verdicts(item, language, judge_kind, skill, chance, completions[item])
        ]
        if judge_kind == "language" and speaks_english:
            verdicts = [v if v.score is None else v.model_copy(update={"score": 0.0}) for v in verdicts]
        _write_step(
            store,
            step_id,
            {"kind": "judge", "judges": {KEY: _judge(judge_kind)}},
            "verdicts.jsonl",
            verdicts,
            seconds=3,
        )
        return Judged(step=step_id, judge=KEY)

    judges = {judge: judged(judge) for judge in JUDGES if (judge, method) != ("duel", OPPONENT)}
    return Cell(
        cell_id=_step_id("cell", experiment, name),
        dataset="facts",
        language=language,
        model=model,
        num_parameters=num_parameters,
        method=method,
        method_kind=kind,
        train_languages=tuple(languages_of(method, language)) if train else (),
        seed=0 if train else None,
        train=train,
        generate=generate,
        judges=judges,
        probes={"praise": {"quality": judged("quality", "praise")}},
    )


def _judge(kind: str) -> dict[str, object]:
    engine = "systemone" if kind == "decision" else "openai"
    model = {"engine": engine, "name": f"judge {HOSTILE[0]}", "base_url": "http://localhost:1"}
    against = {"against": OPPONENT} if kind == "pairwise" else {}
    return {
        "judge": kind,
        **against,
        **({"model": model} if kind in ("rubric", "decision", "pairwise") else {}),
    }


def languages_of(method: str, language: str) -> Sequence[str]:
    """DPO is trained on English alone, SFT on each language by itself."""
    return ("en",) if method == "dpo" else (language,)


def _example(item: int, language: str, instructions: Sequence[str]) -> Example:
    return Example(
        item=f"q{item}",
        language=language,
        instruction=f"{instructions[item % len(instructions)]} ({language})",
        answers=("Paris",),
        category="facts",
    )


def _completion(
    item: int, language: str, method: str, texts: Sequence[str], chance: random.Random
) -> Completion:
    missing = method == "zero_shot" and item == 1
    text = None if missing else f"{method} says: {texts[item % len(texts)]}" + " again" * chance.randrange(20)
    return Completion(
        row_key=_sha256(f"{item} {language} {method}"),
        item=f"q{item}",
        language=language,
        prompt=f"# Instruction\nHelp.\n\n# Query:\n```\nquestion {item}\n```\n\n# Answer:\n```\n",
        text=text,
        raw_text=None if text is None else text + "\n```\n# Query: <script>window.hacked = 'raw'</script>",
        finish_reason="error" if missing else chance.choice(["eos", "stop", "length"]),
        error=f"the engine gave up {HOSTILE[1]}" if missing else None,
        max_new_tokens=64,
        n_prompt_tokens=30,
        n_new_tokens=None if missing else 20 + item,
        seconds=0.5,
        engine="transformers",
    )


def _verdicts(
    item: int, language: str, kind: str, skill: float, chance: random.Random, completion: Completion
) -> list[Verdict]:
    reason = HOSTILE[item % len(HOSTILE)]
    found: list[Verdict] = []
    for aspect in ASPECTS.get(kind, (kind,)):
        unscored = completion.text is None or (kind in ("rubric", "decision") and item == 2)
        score, parts = _score(kind, skill, chance)
        found.append(
            Verdict(
                judge=KEY,
                row_key=_sha256(f"{item} {language} {aspect}"),
                item=f"q{item}",
                language=language,
                aspect=aspect,
                against=OPPONENT if kind == "pairwise" else None,
                score=None if unscored else score,
                parts=None if unscored else parts,
                unscored_reason=f"unreadable: {HOSTILE[4]}" if unscored else None,
                reason=None if unscored else reason,
            )
        )
    return found


def _score(kind: str, skill: float, chance: random.Random) -> tuple[float, dict[str, float] | None]:
    """A score as a judge of that kind gives one, and what it was made from."""
    if kind in ("rubric", "decision"):
        return 1 + 4 * min(1.0, chance.random() * 0.4 + skill * 0.7), None
    if kind == "pairwise":
        orders = {order: float(chance.random() < skill) for order in ("first", "second")}
        return sum(orders.values()) / 2, orders
    if kind == "ifeval":
        followed = {
            name: float(chance.random() < skill) for name in ("0 punctuation:no_comma", "1 <b>length</b>")
        }
        return float(all(followed.values())), followed
    return float(chance.random() < (skill if kind == "contains" else 0.8)), None


def _label(store: Path, study: Study) -> None:
    """Write a person's label of every answer, whose names are asked before anything is computed."""
    outcomes = {step_id: read_outcome(store / "steps" / step_id) for step_id in study.step_ids}
    with connect(store / WAREHOUSE) as connection:
        load_study(connection, study)
        load_batches(connection, new_steps(store / "steps", outcomes, {}, []))
        found = connection.execute(
            "select distinct answer_id from answers_to_label where experiment = ? order by all",
            [study.experiment],
        ).fetchall()
    chance = random.Random(PERSON)
    labels = [
        Label(
            answer_id=name,
            aspect=QUALITY[0],
            score=chance.randint(1, 5),
            comment=HOSTILE[0],
            scale_low=1,
            scale_high=5,
        )
        for (name,) in found
    ]
    _write(
        store / "labels" / study.experiment / f"{PERSON}.jsonl",
        "".join(label.model_dump_json() + "\n" for label in labels),
    )


def _write_step(
    store: Path,
    step_id: str,
    settings: dict[str, object],
    name: str,
    rows: Sequence[Value],
    seconds: float = 1,
    facts: dict[str, object] | None = None,
) -> None:
    folder = store / "steps" / step_id
    _write(folder / "step.json", json.dumps(settings))
    _write(folder / name, "".join(row.model_dump_json() + "\n" for row in rows))
    outcome = Outcome.model_validate(
        {
            "step_id": step_id,
            "seconds": seconds,
            "n_rows": len(rows),
            "peak_memory_bytes": 900_000_000,
            "versions": {"torch": "2.13.0", "xp": "0.1.0"},
            "facts": facts or {},
        }
    )
    _write(folder / "outcome.json", outcome.model_dump_json())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _step_id(kind: str, *parts: str) -> str:
    return f"{kind}-{_sha256(' '.join(parts))[:16]}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
