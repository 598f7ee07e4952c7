"""Preference tuning for real, on the tests' own model."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Example, TrainMetric
from dsl.steps.steps import DpoStep, SftStep
from dsl.steps.training_settings import Adapter, HeldOut, Training
from runners.models.loading import load, load_to_train
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.steps import dpo, sft
from runners.store.step_io import StepContext, StepResult, read_rows
from runners.training.rows import Counts, draw
from runners.training.trainer import has_bf16
from tests.fixtures.tiny_study import TINY, WEIGHTS, chat_form, inputs, rows, text_form

# PEFT reads a property that transformers renamed.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

LORA = Adapter(r=8, lora_alpha=16)
SFT = "sft-0123456789ab89ab"
LN2 = pytest.approx(math.log(2), abs=1e-5)


class Killed(BaseException):
    """Stands for a kill: nothing in the project catches it."""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Results of sft: as an adapter, and as full weights."""
    folder = tmp_path_factory.mktemp("tuned")
    found, (english,) = inputs(folder / "data", en=rows("instructions", "en"))
    left = {}
    for name, adapter in (("adapter", LORA), ("model", None)):
        left[name] = folder / name
        left[name].mkdir()
        training = Training(max_steps=6, per_device_train_batch_size=8, learning_rate=5e-3)
        step = SftStep(
            weights=WEIGHTS,
            train=(english,),
            prompts=(chat_form(),),
            adapter=adapter,
            training=training,
            seed=0,
        )
        sft.run(step, found, left[name])
    return left


def study(folder: Path, policy: Path | None = None, **changes: Any) -> tuple[DpoStep, StepContext]:
    found, steps = inputs(folder / "data", en=rows("preferences", "en"), fr=rows("preferences", "fr"))
    settings: dict[str, Any] = {
        "max_steps": 3,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        **changes.pop("training", {}),
    }
    step = DpoStep(
        **{
            "weights": WEIGHTS,
            "policy": SFT if policy else None,
            "pairs": tuple(steps),
            "prompts": (chat_form(),) * 2,
            "adapter": LORA,
            "training": Training(**settings),
            "seed": 0,
            **changes,
        }
    )
    return step, replace(found, folders={**found.folders, **({SFT: policy} if policy else {})})


def run(step: DpoStep, found: StepContext, out: Path) -> StepResult:
    out.mkdir(exist_ok=True)
    return dpo.run(step, found, out)


def metric(out: Path, name: str) -> list[float]:
    return [row.value for row in read_rows(out / "metrics.jsonl", TrainMetric) if row.name == name]


def log_probability(folder: Path | None, cache: Path, example: Example, answer: str) -> tuple[float, int]:
    """Compute the log-probability of the answer and its end by hand, in nats, and its number of tokens."""
    import torch

    loaded = load(WEIGHTS, folder, cache)
    prompt = token_ids(loaded.tokenizer, Prompter(chat_form(), StepContext({}, cache)).prompt(example))
    ids = [*loaded.tokenizer.encode(answer, add_special_tokens=False), loaded.tokenizer.eos_token_id]
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
    return sum(logits[len(prompt) + at - 1, token].item() for at, token in enumerate(ids)), len(ids)


@pytest.mark.parametrize("adapter", [LORA, None])
@pytest.mark.parametrize("policy", [None, "adapter", "model"])
def test_training_begins_at_the_reference(
    tmp_path: Path, tuned: dict[str, Path], policy: str | None, adapter: Adapter | None
) -> None:
    """Policy and reference are one model then: rewards are 0 and the sigmoid loss is ln 2."""
    step, found = study(
        tmp_path, tuned[policy] if policy else None, adapter=adapter, training={"max_steps": 2}
    )
    made = run(step, found, tmp_path / "out")
    assert metric(tmp_path / "out", "loss")[0] == LN2
    assert metric(tmp_path / "out", "loss")[1] != LN2
    assert metric(tmp_path / "out", "rewards/margins")[0] == pytest.approx(0, abs=1e-5)
    of = f"the policy as training began, {SFT} on the weights" if policy else "the untrained weights"
    how = "the adapter switched off" if adapter else "a frozen model of its own"
    assert made.facts["reference_model"] == f"{of} ({how})"


def test_all_weights_of_a_bfloat16_model_begin_at_the_reference_too(tmp_path: Path) -> None:
    """They are trained in float32, and so is the reference computed."""
    step, found = study(
        tmp_path,
        weights=WEIGHTS.model_copy(update={"dtype": "bfloat16"}),
        adapter=None,
        training={"max_steps": 1},
    )
    made = run(step, found, tmp_path / "out")
    assert metric(tmp_path / "out", "loss") == [LN2]
    assert made.facts["dtype"] == "float32"


@pytest.mark.parametrize("adapter", [LORA, None])
def test_the_reference_of_an_sft_policy_can_be_the_untrained_weights(
    tmp_path: Path, tuned: dict[str, Path], adapter: Adapter | None
) -> None:
    """First rewards against log-probabilities made by hand, of the sft model and of the untrained one."""
    step, found = study(
        tmp_path,
        tuned["adapter"],
        adapter=adapter,
        reference="base",
        beta=0.5,
        rows=4,
        training={"max_steps": 1},
    )
    step = step.model_copy(update={"pairs": step.pairs[:1], "prompts": step.prompts[:1]})
    pairs = rows("preferences", "en")[:4]
    (found[step.pairs[0]] / "examples.jsonl").write_text(
        "".join(pair.model_dump_json() + "\n" for pair in pairs)
    )
    made = run(step, found, tmp_path / "out")
    for name in ("chosen", "rejected"):
        ratios = [
            log_probability(tuned["adapter"], tmp_path / "cache", pair, getattr(pair, name))[0]
            - log_probability(None, tmp_path / "cache", pair, getattr(pair, name))[0]
            for pair in pairs
        ]
        assert metric(tmp_path / "out", f"rewards/{name}") == [
            pytest.approx(0.5 * sum(ratios) / 4, rel=1e-3, abs=1e-3)
        ]
        assert metric(tmp_path / "out", f"log_ratios/{name}") == [
            pytest.approx(sum(ratios) / 4, rel=1e-3, abs=1e-3)
        ]
    assert made.facts["reference_model"] == "the untrained weights (a frozen model of its own)"


def test_losses_add_up_and_lengths_are_recorded(tmp_path: Path) -> None:
    step, found = study(tmp_path, loss_type=("sigmoid", "sft"), rows=4, training={"max_steps": 1})
    step = step.model_copy(update={"pairs": step.pairs[:1], "prompts": step.prompts[:1]})
    pairs = rows("preferences", "en")[:4]
    (found[step.pairs[0]] / "examples.jsonl").write_text(
        "".join(pair.model_dump_json() + "\n" for pair in pairs)
    )
    run(step, found, tmp_path / "out")
    chosen = [log_probability(None, tmp_path / "cache", pair, str(pair.chosen)) for pair in pairs]
    rejected = [log_probability(None, tmp_path / "cache", pair, str(pair.rejected)) for pair in pairs]
    nll = -sum(nats for nats, _ in chosen) / sum(n for _, n in chosen)
    assert metric(tmp_path / "out", "loss") == [pytest.approx(math.log(2) + nll, rel=1e-4)]
    assert metric(tmp_path / "out", "logps/chosen") == [
        pytest.approx(sum(nats for nats, _ in chosen) / 4, rel=1e-4)
    ]
    assert metric(tmp_path / "out", "logps/rejected") == [
        pytest.approx(sum(nats for nats, _ in rejected) / 4, rel=1e-4)
    ]
    assert metric(tmp_path / "out", "lengths/chosen") == [sum(n for _, n in chosen) / 4]
    assert metric(tmp_path / "out", "lengths/rejected") == [sum(n for _, n in rejected) / 4]


def test_training_prefers_the_chosen_answers(tmp_path: Path) -> None:
    step, found = study(tmp_path, training={"max_steps": 25, "per_device_train_batch_size": 8})
    made = run(step, found, tmp_path / "out")
    assert metric(tmp_path / "out", "rewards/margins")[-1] > 1
    assert metric(tmp_path / "out", "rewards/accuracies")[-1] > 0.8
    assert made.n_rows == 32

    def margin(folder: Path | None) -> float:
        """By which chosen answers gain on rejected ones, in nats."""
        pairs = rows("preferences", "en")[:4]
        return sum(
            log_probability(folder, tmp_path / "cache", pair, str(pair.chosen))[0]
            - log_probability(folder, tmp_path / "cache", pair, str(pair.rejected))[0]
            for pair in pairs
        )

    assert margin(tmp_path / "out") - margin(None) > 4


@pytest.mark.parametrize("policy", ["adapter", "model"])
@pytest.mark.parametrize("adapter", [LORA, None])
def test_what_was_learnt_needs_nothing_but_its_own_folder(
    tmp_path: Path, tuned: dict[str, Path], policy: str, adapter: Adapter | None
) -> None:
    """An adapter on an sft policy is useless without that policy: it is in the folder too."""
    before = tmp_path / "sft"
    shutil.copytree(tuned[policy], before)
    step, found = study(tmp_path, before, adapter=adapter, training={"max_steps": 1, "learning_rate": 1e-9})
    run(step, found, tmp_path / "out")
    expected = load_to_train(WEIGHTS, before, tmp_path / "cache").model.state_dict()
    shutil.rmtree(before)
    got = load_to_train(WEIGHTS, tmp_path / "out", tmp_path / "cache").model.state_dict()
    untrained = load_to_train(WEIGHTS, None, tmp_path / "cache").model.state_dict()
    # so small a step leaves the policy as it was
    assert all((got[name] - expected[name]).abs().max() < 1e-5 for name in expected)
    assert any((got[name] - untrained[name]).abs().max() > 1e-3 for name in expected)
    assert (tmp_path / "out" / "policy").exists() is (adapter is not None)


@pytest.mark.skipif(not has_bf16("cpu"), reason="this processor has no bfloat16")
def test_pairs_in_a_text_prompt_are_trained_on(tmp_path: Path) -> None:
    prompts = (text_form("en", 3), text_form("fr", 3))
    step, found = study(tmp_path, prompts=prompts, training={"max_steps": 1, "bf16": True})
    made = run(step, found, tmp_path / "out")
    assert metric(tmp_path / "out", "loss")[0] == pytest.approx(math.log(2), abs=0.02)  # bf16 rounds
    assert made.facts["n_truncated"] == 0


def test_a_killed_training_resumes_as_if_nothing_had_happened(tmp_path: Path, tuned: dict[str, Path]) -> None:
    step, found = study(tmp_path, tuned["adapter"], training={"max_steps": 5, "save_steps": 2})

    def report(done: int, total: int) -> None:
        if done == 4:
            raise Killed

    run(step, found, tmp_path / "undisturbed")
    with pytest.raises(Killed):
        run(step, replace(found, report=report), tmp_path / "killed")
    made = run(step, found, tmp_path / "killed")
    assert made.facts["resumed_from_step"] == 2
    for name in ("loss", "rewards/chosen", "rewards/rejected", "logps/chosen", "grad_norm", "num_tokens"):
        assert metric(tmp_path / "killed", name) == metric(tmp_path / "undisturbed", name), name


def test_losses_are_those_of_a_bare_trl_script_step_for_step(tmp_path: Path) -> None:
    """TRL, handed the same texts in the same order with the same arguments, and left to tokenise them and to
    make the reference itself."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    prompts = (text_form("en", 0), text_form("fr", 0))
    step, found = study(tmp_path, prompts=prompts, beta=0.3, training={"max_steps": 6})
    run(step, found, tmp_path / "out")
    drawn, _ = draw(step.pairs, step.prompts, step.ANSWERS, found, None, step.seed, Counts())
    prompters = {form: Prompter(form, found) for form in step.prompts}
    texts = [
        {"prompt": prompters[form].prompt(pair).text, "chosen": pair.chosen, "rejected": pair.rejected}
        for pair, form in drawn
    ]
    settings = step.training.as_trl()
    trainer = DPOTrainer(
        model=str(TINY),
        args=DPOConfig(
            **{
                name: settings[name]
                for name in ("learning_rate", "max_steps", "per_device_train_batch_size", "logging_steps")
            },
            beta=step.beta,
            activation_checkpointing=False,
            seed=step.seed,
            bf16=False,
            use_cpu=True,
            output_dir=str(tmp_path / "script"),
            model_init_kwargs={"dtype": "float32"},
            dataloader_pin_memory=False,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(texts),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    expected = [logged["loss"] for logged in trainer.state.log_history if "loss" in logged]
    assert metric(tmp_path / "out", "loss") == pytest.approx(expected, abs=1e-5)


def test_every_pair_of_an_evaluation_counts_alike_whatever_its_batch(tmp_path: Path) -> None:
    """9 pairs are evaluated in a batch of 8 and one of 1; so small a step leaves the model as it was."""
    training = {"max_steps": 1, "learning_rate": 1e-9}
    step, found = study(tmp_path, training=training, validation=HeldOut(rows=9 / 16))
    step = step.model_copy(update={"pairs": step.pairs[:1], "prompts": step.prompts[:1]})
    _, evaluated = draw(
        step.pairs, step.prompts, step.ANSWERS, found, None, step.seed, Counts(), step.validation
    )
    assert len(evaluated) == 9
    run(step, found, tmp_path / "out")
    by_hand = [log_probability(None, tmp_path / "cache", pair, str(pair.chosen)) for pair, _ in evaluated]
    assert metric(tmp_path / "out", "eval_logps/chosen")[-1] == pytest.approx(
        sum(nats for nats, _ in by_hand) / 9, rel=1e-4
    )
    assert metric(tmp_path / "out", "eval_lengths/chosen")[-1] == pytest.approx(
        sum(n for _, n in by_hand) / 9
    )
