"""Results that are frozen: training, generation and judges that ask a model do not have their code in their
id, so what they give for the same settings may not change under the same `VERSION`.

Where a change is meant, raise the `VERSION` of what changed, write the results down again (`python -m
tests.runners.test_frozen_results`, which refuses a change under the same version) and say in CHANGELOG.md why
old results are made again.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest

from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Completion, Look, Prompt, RefLogps, TrainingFacts, TrainMetric, Trial, Verdict
from dsl.engines.contract import Decoding, EngineSettings
from dsl.engines.transformers import Weights
from dsl.judges.contract import JudgeSettings
from dsl.plugins import names, settings_of
from dsl.steps.steps import (
    AnyStep,
    DpoStep,
    GenerateStep,
    Judged,
    ReferenceLogpsStep,
    SelectStep,
    SequentialTestStep,
    SftStep,
)
from dsl.steps.stopping import StopWhen
from dsl.steps.training_settings import Adapter, Training
from dsl.steps.training_steps import KtoStep, OrpoStep, PreferenceStep, SimpoStep, TuningStep
from runners.engines import openai
from runners.engines.contract import EngineAnswer
from runners.judges import decision, find_judge, pairwise, reward, rubric
from runners.judges.contract import Tools
from runners.models.loading import load_to_train
from runners.steps import find_runner, select, sequential_test
from runners.store.row_keys import Keys
from runners.store.step_io import StepContext, read_rows, rewrite_rows
from runners.training.rows import Counts, draw, tokenise
from tests.fixtures.tiny_study import WEIGHTS, chat_form, inputs, rows, text_form
from tests.runners.judges.answers import answer
from tests.runners.judges.test_reward import saved

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

FROZEN = Path(__file__).resolve().parents[1] / "golden" / "results.json"
TRAINING = Training(max_steps=2, per_device_train_batch_size=2, learning_rate=1e-3)
LORA = Adapter(r=4)


def generated(folder: Path) -> list[Any]:
    found, (data,) = inputs(folder, en=rows("questions", "en")[:2])
    said: list[Any] = []
    for form, decoding in (
        (text_form("en", 2), Decoding(max_new_tokens=12)),
        (chat_form(), Decoding(max_new_tokens=12, repetition_penalty=1.2)),
        (text_form("en", 0), Decoding(max_new_tokens=12, temperature=0.8, top_p=0.9, top_k=20)),
    ):
        step = GenerateStep(model=WEIGHTS, examples=data, prompt=form, decoding=decoding, seed=0)
        out = folder / f"out{len(said)}"
        out.mkdir()
        find_runner("generate").run(step, found, out)
        made = sorted(read_rows(out / "completions.jsonl", Completion), key=lambda row: row.item)
        said.append(
            [
                (row.item, row.prompt[-60:], row.text, row.raw_text, row.finish_reason, row.n_prompt_tokens)
                for row in made
            ]
        )
    return said


def trained_on(folder: Path) -> Callable[[str, tuple[str, ...]], list[Any]]:
    """Tokens that a trainer is handed for the first rows of a file."""

    def tokens(name: str, answers: tuple[str, ...]) -> list[Any]:
        found, (data,) = inputs(folder / name, en=rows(name, "en"))
        counts = Counts()
        drawn, _ = draw((data,), (chat_form(),), answers, found, 2, 0, counts)
        loaded = load_to_train(WEIGHTS, None, folder / "cache")
        made = tokenise(drawn, answers, loaded, found, 0, 64, counts)
        return [(row.item, row.prompt_ids, row.answers) for row in made]

    return tokens


def tuned(folder: Path) -> list[Any]:
    found, (data,) = inputs(folder, en=rows("instructions", "en"))
    step = SftStep(
        weights=WEIGHTS,
        train=(data,),
        rows=4,
        prompts=(chat_form(),),
        adapter=LORA,
        training=TRAINING,
        seed=0,
    )
    return [trained_on(folder)("instructions", ("response",)), _losses(step, found, folder / "out")]


def aligned(folder: Path) -> list[Any]:
    return [trained_on(folder)("preferences", ("chosen", "rejected")), by(DpoStep)(folder)]


def by(kind: type[PreferenceStep]) -> Callable[[Path], list[Any]]:
    """Losses of a training on pairs."""

    def losses(folder: Path) -> list[Any]:
        found, (data,) = inputs(folder, en=rows("preferences", "en"))
        step = kind(
            weights=WEIGHTS,
            pairs=(data,),
            rows=4,
            prompts=(chat_form(),),
            adapter=LORA,
            training=TRAINING,
            seed=0,
        )
        return _losses(step, found, folder / "out")

    return losses


def _losses(step: TuningStep, found: Any, out: Path) -> list[float]:
    out.mkdir()
    find_runner(step.kind).run(step, found, out)
    return [
        round(row.value, 4) for row in read_rows(out / "metrics.jsonl", TrainMetric) if row.name == "loss"
    ]


def held_to(folder: Path) -> list[Any]:
    found, (data,) = inputs(folder, en=rows("preferences", "en"))
    step = ReferenceLogpsStep(
        weights=WEIGHTS, pairs=(data,), rows=2, prompts=(chat_form(),), max_length=64, bf16=False, seed=0
    )
    (folder / "out").mkdir()
    find_runner("reference_logps").run(step, found, folder / "out")
    made = sorted(read_rows(folder / "out" / "ref_logps.jsonl", RefLogps), key=lambda row: row.item)
    return [
        (row.item, round(row.ref_chosen_logps, 3), round(row.ref_rejected_logps, 3), row.n_tokens)
        for row in made
    ]


def chosen(folder: Path) -> list[Any]:
    """The trial that is chosen where losses decide, where shares of right preferences do, and of a tie."""
    found: list[Any] = []
    for metric, values in (
        ("eval_loss", (0.7, 0.5, 0.6)),
        ("eval_rewards/accuracies", (0.7, 0.5, 0.6)),
        ("eval_loss", (0.5, 0.5, 0.6)),
    ):
        folders: dict[str, Path] = {}
        for value in values:
            trial = folder / f"{len(found)}" / f"sft-{len(folders):016x}"
            trial.mkdir(parents=True)
            facts = TrainingFacts(
                n_rows=8,
                n_truncated=0,
                n_border_merges=0,
                n_tokens=80,
                n_trainable_parameters=1,
                n_parameters=1,
                n_validation_rows=2,
                metric_for_best_model=metric,
                best_metric=value,
                best_global_step=3,
            )
            (trial / "facts.json").write_text(facts.model_dump_json(), "utf-8")
            folders[trial.name] = trial
        out = folder / f"out-{len(found)}"
        out.mkdir()
        step = SelectStep(trials={f"beta: {name[-1]}": name for name in folders})
        select.run(step, StepContext(folders, folder), out)
        found.append([(row.trial_id, row.is_chosen) for row in read_rows(out / select.TRIALS, Trial)])
    return found


def looked_at(folder: Path) -> list[Any]:
    """A look at thirty items of which one side has more right, and what the next look makes of it."""
    folders: dict[str, Path] = {}
    of, against, first = (f"judge-{n:016}" for n in range(3))
    for side, right in ((of, 4), (against, 1)):
        folders[side] = folder / side
        folders[side].mkdir(parents=True)
        verdicts = (
            Verdict(
                row_key="0" * 64,
                item=str(n),
                language="en",
                judge="contains",
                aspect="contains",
                score=float(n % 5 < right),
            )
            for n in range(30)
        )
        rewrite_rows(folders[side] / "verdicts.jsonl", verdicts)
    looks: list[Any] = []
    for before in (None, first):
        step = SequentialTestStep(
            rule=StopWhen(contrast="gain", excludes=0.0, looks=2),
            alpha=0.05,
            aspect="contains",
            scale=(0.0, 1.0),
            of=(Judged(step=of, judge="contains"),),
            against=(Judged(step=against, judge="contains"),),
            before=before,
        )
        out = folder / str(before)
        out.mkdir()
        sequential_test.run(step, StepContext(folders, folder), out)
        folders[first] = out
        looks += [[*look.model_dump().values()] for look in read_rows(out / "looks.jsonl", Look)]
    return looks


def judged(settings: JudgeSettings, folder: Path) -> list[Any]:
    """Prompts that a judge sends, and its verdicts on what is replied."""
    pinned = settings.pinned(("en",), Fingerprints(), Path())
    module, sent = find_judge(settings.judge), list[str]()

    def generate(
        model: EngineSettings, prompts: Sequence[Prompt], decoding: Decoding
    ) -> Iterator[tuple[int, EngineAnswer]]:
        for place, prompt in enumerate(prompts):
            sent.append(prompt.model_dump_json())
            text = [
                '{"helpfulness": {"reason": "why", "score": 4}}',
                '{"overall": {"score": "N/A"}}',
                "no JSON",
            ][place % 3]
            yield (
                place,
                EngineAnswer(key=str(place), prompt_text="", text=text, raw_text=text, finish_reason="eos"),
            )

    one = answer("It lives in the sea.", instruction="Where does the zorbo live?", reference="In the sea.")
    opponent = one.completion.model_copy(update={"text": "On the moon."}) if settings.opponents() else None
    keys = Keys(module, pinned).of(one.example, one.completion, opponent)
    asked = replace(one, keys=keys, against="other" if opponent else None, opponent=opponent)
    verdicts = sorted(
        module.judge([asked], pinned, Tools(generate, folder)), key=lambda verdict: verdict.aspect
    )
    return [
        sent,
        [
            (v.aspect, None if v.score is None else round(v.score, 4), v.unscored_reason, v.reason)
            for v in verdicts
        ],
    ]


def rewarded(folder: Path) -> list[Any]:
    return judged(reward.Settings(model=Weights(path=str(saved(folder / "reward")))), folder)


RESULTS: dict[str, tuple[type[Any], Callable[[Path], list[Any]]]] = {
    "generate": (GenerateStep, generated),
    "sft": (SftStep, tuned),
    "dpo": (DpoStep, aligned),
    "kto": (KtoStep, by(KtoStep)),
    "orpo": (OrpoStep, by(OrpoStep)),
    "simpo": (SimpoStep, by(SimpoStep)),
    "reference_logps": (ReferenceLogpsStep, held_to),
    "select": (SelectStep, chosen),
    "sequential_test": (SequentialTestStep, looked_at),
    "rubric": (
        rubric.Settings,
        lambda folder: judged(rubric.Settings(model=openai.Settings(name="m"), rubric="just_eval"), folder),
    ),
    "decision": (
        decision.Settings,
        lambda folder: judged(decision.Settings(model=WEIGHTS, rubric="overall"), folder),
    ),
    "reward": (reward.Settings, rewarded),
    "pairwise": (
        pairwise.Settings,
        lambda folder: judged(pairwise.Settings(model=WEIGHTS, against="other"), folder),
    ),
}
"""A thing with a version -> its class, and its results."""


def found(name: str, folder: Path) -> Any:
    """Results as JSON holds them."""
    return json.loads(json.dumps(RESULTS[name][1](folder)))


def close(value: Any, frozen: Any) -> bool:
    """Equal, numbers up to what another processor may compute."""
    if isinstance(value, list) and isinstance(frozen, list):
        return len(value) == len(frozen) and all(close(a, b) for a, b in zip(value, frozen, strict=True))
    return value == (pytest.approx(frozen, abs=2e-3) if isinstance(frozen, float) else frozen)


@pytest.mark.parametrize("name", RESULTS)
def test_results_of_a_version_do_not_change(name: str, tmp_path: Path) -> None:
    frozen = json.loads(FROZEN.read_text("utf-8"))[name]
    assert frozen["version"] == RESULTS[name][0].VERSION, (
        "write the results of the new version down: python -m tests.runners.test_frozen_results"
    )
    assert close(found(name, tmp_path), frozen["results"]), (
        f"the same settings give other results: raise {RESULTS[name][0].__name__}.VERSION"
    )


def test_everything_that_has_a_version_is_frozen() -> None:
    classes = [
        *get_args(get_args(AnyStep)[0]),
        *(settings_of("judges", name) for name in names("dsl.judges")),
    ]
    assert {cls for cls in classes if hasattr(cls, "VERSION")} == {cls for cls, _ in RESULTS.values()}


if __name__ == "__main__":
    before = json.loads(FROZEN.read_text("utf-8")) if FROZEN.exists() else {}
    after: dict[str, Any] = {}
    for name, (cls, _) in RESULTS.items():
        with TemporaryDirectory() as folder:
            after[name] = {"version": cls.VERSION, "results": found(name, Path(folder))}
        was = before.get(name, after[name])
        if was["version"] == cls.VERSION and not close(after[name]["results"], was["results"]):
            raise SystemExit(f"{name}: other results under the same version {cls.VERSION}. Raise it first")
    FROZEN.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", "utf-8")
