"""KTO, ORPO and SimPO for real, on the tests' own model: each is TRL's trainer, on tokens made here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsl.data.random_order import in_random_order
from dsl.data.records import Completion, TrainMetric
from dsl.engines.contract import Decoding
from dsl.steps.steps import GenerateStep
from dsl.steps.training_settings import Adapter, HeldOut, Training
from dsl.steps.training_steps import KtoStep, OrpoStep, PreferenceStep, SftStep, SimpoStep
from runners.prompting.prompts import Prompter
from runners.steps import find_runner, generate, sft
from runners.store.step_io import StepContext, StepResult, read_rows
from runners.training.rows import Counts, draw
from tests.fixtures.tiny_study import TINY, WEIGHTS, inputs, rows, text_form

# PEFT reads a property that transformers renamed.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

LORA = Adapter(r=8, lora_alpha=16)
STEPS: tuple[type[PreferenceStep], ...] = (KtoStep, OrpoStep, SimpoStep)
SFT = "sft-0123456789ab89ab"


def study(kind: type[PreferenceStep], folder: Path, **changes: Any) -> tuple[PreferenceStep, StepContext]:
    found, (english,) = inputs(folder / "data", en=rows("preferences", "en"))
    settings: dict[str, Any] = {
        "max_steps": 3,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        **changes.pop("training", {}),
    }
    step = kind(
        **{
            "weights": WEIGHTS,
            "pairs": (english,),
            "prompts": (text_form("en", 0),),
            "adapter": LORA,
            "training": Training(**settings),
            "seed": 0,
            **changes,
        }
    )
    return step, found


def run(step: PreferenceStep, found: StepContext, out: Path) -> StepResult:
    out.mkdir(exist_ok=True)
    return find_runner(step.kind).run(step, found, out)


def metric(out: Path, name: str) -> list[float]:
    return [row.value for row in read_rows(out / "metrics.jsonl", TrainMetric) if row.name == name]


def texts(step: PreferenceStep, found: StepContext) -> list[dict[str, Any]]:
    """Pairs in the order in which they are drawn, as TRL reads texts."""
    drawn, _ = draw(step.pairs, step.prompts, step.ANSWERS, found, None, step.seed, Counts())
    prompter = Prompter(step.prompts[0], found)
    return [
        {
            "prompt": prompter.prompt(pair).text,
            "chosen": pair.chosen,
            "rejected": pair.rejected,
            "item": pair.item,
        }
        for pair, _ in drawn
    ]


def unpaired(pairs: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    answers = [
        {
            "prompt": pair["prompt"],
            "completion": pair[name],
            "label": name == "chosen",
            "item": f"{pair['item']} en {name}",
        }
        for pair in pairs
        for name in ("chosen", "rejected")
    ]
    return in_random_order(answers, lambda one: one["item"], seed)


@pytest.mark.filterwarnings("ignore::trl.import_utils.TRLExperimentalWarning")
@pytest.mark.parametrize("kind", STEPS)
def test_losses_are_those_of_a_bare_trl_script_step_for_step(
    tmp_path: Path, kind: type[PreferenceStep]
) -> None:
    """TRL, handed the same texts in the same order with the same arguments, and left to tokenise them."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import KTOConfig, KTOTrainer
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    of: dict[type[PreferenceStep], tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
        KtoStep: (
            KTOConfig,
            KTOTrainer,
            {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5},
            {"train_sampling_strategy": "sequential"},
        ),
        OrpoStep: (ORPOConfig, ORPOTrainer, {"beta": 0.3}, {}),
        SimpoStep: (
            CPOConfig,
            CPOTrainer,
            {"beta": 1.5, "simpo_gamma": 0.7, "cpo_alpha": 0.2},
            {"loss_type": "simpo", "train_sampling_strategy": "random"},
        ),
    }
    config, trainer_class, loss, others = of[kind]
    step, found = study(kind, tmp_path, **loss)
    run(step, found, tmp_path / "out")
    pairs = texts(step, found)
    data = unpaired(pairs, step.seed) if kind is KtoStep else pairs
    settings = step.training.as_trl()
    trainer = trainer_class(
        model=AutoModelForCausalLM.from_pretrained(TINY, dtype="float32"),
        args=config(
            **{
                name: settings[name]
                for name in ("learning_rate", "max_steps", "per_device_train_batch_size", "logging_steps")
            },
            **loss,
            **others,
            activation_checkpointing=False,
            seed=step.seed,
            bf16=False,
            use_cpu=True,
            output_dir=str(tmp_path / "script"),
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{k: v for k, v in row.items() if k != "item"} for row in data]),
        processing_class=AutoTokenizer.from_pretrained(TINY),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    expected = [logged["loss"] for logged in trainer.state.log_history if "loss" in logged]
    assert metric(tmp_path / "out", "loss") == pytest.approx(expected, abs=1e-5)
    assert len(set(expected)) == 3


def length(text: str) -> int:
    from transformers import AutoTokenizer

    return len(AutoTokenizer.from_pretrained(TINY).encode(text, add_special_tokens=False)) + 1


@pytest.mark.parametrize("kind", STEPS)
def test_a_policy_is_tuned_evaluated_and_asked(tmp_path: Path, kind: type[PreferenceStep]) -> None:
    """Over an sft step's adapter, on rows of which 9 are held out: a batch of 8 and one of 1."""
    step, found = study(
        kind,
        tmp_path,
        policy=SFT,
        validation=HeldOut(rows=9 / 16),
        training={"max_steps": 2, "learning_rate": 5e-2, "eval_steps": 1},
    )
    learnt = SftStep(
        weights=WEIGHTS,
        train=step.pairs,
        prompts=step.prompts,
        adapter=LORA,
        training=Training(max_steps=1, learning_rate=5e-3),
        seed=0,
    )
    found = replace(found, folders={**found.folders, SFT: tmp_path / "sft"})
    (tmp_path / "sft").mkdir()
    examples = [pair.model_copy(update={"response": pair.chosen}) for pair in rows("preferences", "en")]
    taught, (english,) = inputs(tmp_path / "taught", en=examples)
    sft.run(learnt.model_copy(update={"train": (english,)}), taught, tmp_path / "sft")
    made = run(step, found, tmp_path / "out")
    _, held_out = draw(
        step.pairs, step.prompts, step.ANSWERS, found, None, step.seed, Counts(), step.validation
    )
    assert (len(held_out), made.n_rows, made.facts["n_validation_rows"]) == (9, 7, 9)
    out = tmp_path / "out"
    for name in step.ANSWERS:
        by_hand = [length(getattr(pair, name)) for pair, _ in held_out]
        assert metric(out, f"eval_lengths/{name}") == [pytest.approx(sum(by_hand) / 9)] * 2
    assert len(metric(out, "eval_loss")) == 2
    assert metric(out, "num_tokens")[0] < metric(out, "num_tokens")[1]
    if kind is KtoStep:
        assert made.facts["reference_model"] == (
            f"the policy as training began, {SFT} on the weights (the adapter switched off)"
        )
    else:
        assert made.facts["reference_model"] is None
        assert len(metric(out, "eval_rewards/accuracies")) == 2
    assert answers(tmp_path, out) != answers(tmp_path, tmp_path / "sft")


def answers(folder: Path, tuned: Path) -> list[str | None]:
    """Answers of a tuned model to the questions, from its folder alone."""
    found, (questions,) = inputs(folder / "asked", en=rows("questions", "en")[:3])
    step = GenerateStep(
        model=WEIGHTS,
        tuned="kto-0123456789abcdef",
        examples=questions,
        prompt=text_form("en", 0),
        decoding=Decoding(max_new_tokens=6),
    )
    into = folder / f"answers-{tuned.name}"
    into.mkdir()
    generate.run(step, replace(found, folders={**found.folders, "kto-0123456789abcdef": tuned}), into)
    return [row.text for row in read_rows(into / "completions.jsonl", Completion)]


def test_kto_trains_all_weights_beside_a_frozen_model_and_begins_at_it(tmp_path: Path) -> None:
    training = {"max_steps": 1, "per_device_train_batch_size": 8}
    step, found = study(KtoStep, tmp_path, adapter=None, training=training)
    made = run(step, found, tmp_path / "out")
    for name in step.ANSWERS:
        assert metric(tmp_path / "out", f"log_ratios/{name}") == [pytest.approx(0, abs=1e-5)]
    assert metric(tmp_path / "out", "loss") == [pytest.approx(0.5, abs=1e-5)]
    assert made.facts["reference_model"] == "the untrained weights (a frozen model of its own)"
