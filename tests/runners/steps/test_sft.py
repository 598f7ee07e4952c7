"""Fine-tuning for real, on the tests' own model."""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Example, Message, TrainingFacts, TrainMetric, Trial
from dsl.engines.transformers import Weights
from dsl.errors import DataError, StepFailed
from dsl.steps.steps import SelectStep, SftStep
from dsl.steps.training_settings import Adapter, HeldOut, Training
from runners.models.loading import Loaded, load, load_to_train
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.steps import select, sft
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
LANGUAGES = ("en", "fr", "es")


class Killed(BaseException):
    """Stands for a kill: nothing in the project catches it."""


def study(folder: Path, **changes: Any) -> tuple[SftStep, StepContext]:
    """A step over the three languages' instructions; `training` changes some of its settings."""
    found, steps = inputs(
        folder / "data", **{language: rows("instructions", language) for language in LANGUAGES}
    )
    settings: dict[str, Any] = {
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 5e-3,
        **changes.pop("training", {}),
    }
    step = SftStep(
        **{
            "weights": WEIGHTS,
            "train": tuple(steps),
            "prompts": (chat_form(),) * 3,
            "adapter": LORA,
            "training": Training(**settings),
            "seed": 0,
            **changes,
        }
    )
    return step, found


def run(step: SftStep, found: StepContext, out: Path) -> StepResult:
    out.mkdir(exist_ok=True)
    return sft.run(step, found, out)


def metric(out: Path, name: str) -> list[tuple[int, float]]:
    return [
        (row.global_step, row.value)
        for row in read_rows(out / "metrics.jsonl", TrainMetric)
        if row.name == name
    ]


def killed_at(step: int) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done == step:
            raise Killed

    return report


def greedy(loaded: Loaded, ids: list[int], max_new_tokens: int = 20) -> list[int]:
    import torch

    given = torch.tensor([ids])
    out = loaded.model.generate(
        input_ids=given,
        attention_mask=torch.ones_like(given),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=loaded.pad_id,
    )
    return out[0, len(ids) :].tolist()


def test_the_loss_is_on_the_answer_and_its_end_and_on_nothing_else(tmp_path: Path) -> None:
    """The first logged loss against one made by hand, one row at a time, so that neither padding nor prompts
    can enter it."""
    import torch

    step, found = study(tmp_path, rows=3, training={"max_steps": 1, "per_device_train_batch_size": 3})
    found = StepContext({step.train[0]: found[step.train[0]]}, found.cache)
    step = step.model_copy(update={"train": step.train[:1], "prompts": step.prompts[:1]})
    (tmp_path / "data" / "en" / "examples.jsonl").write_text(
        "".join(
            Example(item=str(n), language="en", instruction=asked, response=answer).model_dump_json() + "\n"
            for n, (asked, answer) in enumerate(
                [
                    ("Where?", "In Cuba."),
                    ("What does the zorbo eat, then?", "It eats."),
                    ("Who?", "Anna and Bruno and all"),
                ]
            )
        )
    )
    run(step, found, tmp_path / "out")

    loaded = load(WEIGHTS, None, tmp_path / "cache")
    total, n = 0.0, 0
    for example in read_rows(tmp_path / "data" / "en" / "examples.jsonl", Example):
        prompt = token_ids(loaded.tokenizer, Prompter(chat_form(), found).prompt(example))
        answer = [
            *loaded.tokenizer.encode(example.response, add_special_tokens=False),
            loaded.tokenizer.eos_token_id,
        ]
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        total -= sum(logits[len(prompt) + at - 1, token].item() for at, token in enumerate(answer))
        n += len(answer)
    assert metric(tmp_path / "out", "loss") == [(1, pytest.approx(total / n, rel=1e-4))]


@pytest.mark.parametrize("assistant_only_loss", [False, True])
def test_in_a_conversation_the_loss_is_on_the_last_answer_or_on_all_of_them(
    tmp_path: Path, assistant_only_loss: bool
) -> None:
    """The first logged loss against one made by hand, turn by turn."""
    import torch

    said = [("Where?", "In Cuba."), ("Who?", "Anna and Bruno.")]
    (asked, answered), (last, response) = said
    turns = (Message(role="user", content=asked), Message(role="assistant", content=answered))
    talk = Example(item="a", language="en", turns=turns, instruction=last, response=response)
    found, steps = inputs(tmp_path / "talks", en=[talk])
    settings = {"max_steps": 1, "assistant_only_loss": assistant_only_loss}
    step, _ = study(tmp_path, train=tuple(steps), prompts=(chat_form(),), training=settings)
    run(step, found, tmp_path / "out")

    loaded = load(WEIGHTS, None, tmp_path / "cache")
    first = talk.model_copy(update={"turns": (), "instruction": asked, "response": answered})
    total, n = 0.0, 0
    for example in [first, talk] if assistant_only_loss else [talk]:
        prompt = token_ids(loaded.tokenizer, Prompter(chat_form(), found).prompt(example))
        answer = [
            *loaded.tokenizer.encode(example.response, add_special_tokens=False),
            loaded.tokenizer.eos_token_id,
        ]
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        total -= sum(logits[len(prompt) + at - 1, token].item() for at, token in enumerate(answer))
        n += len(answer)
    assert metric(tmp_path / "out", "loss") == [(1, pytest.approx(total / n, rel=1e-4))]


def test_a_few_steps_teach_a_model_to_answer_and_to_stop(tmp_path: Path) -> None:
    step, found = study(tmp_path, training={"max_steps": 60, "per_device_train_batch_size": 8})
    run(step, found, tmp_path / "out")
    prompter = Prompter(chat_form(), found)
    asked = [row for language in LANGUAGES for row in rows("instructions", language)[:8]]

    def stops(loaded: Loaded) -> tuple[float, float]:
        """Shares of answers that end by themselves, and that are right."""
        answers = [greedy(loaded, token_ids(loaded.tokenizer, prompter.prompt(example))) for example in asked]
        ended = [bool(loaded.eos_ids.intersection(ids)) for ids in answers]
        right = [
            loaded.tokenizer.decode(ids, skip_special_tokens=True) == example.response
            for ids, example in zip(answers, asked, strict=True)
        ]
        return sum(ended) / len(ended), sum(right) / len(right)

    assert stops(load(WEIGHTS, None, tmp_path / "cache")) == (0.0, 0.0)
    ended, right = stops(load(WEIGHTS, tmp_path / "out", tmp_path / "cache"))
    assert ended > 0.9
    assert right > 0.5


@pytest.mark.parametrize(("adapter", "left"), [(LORA, "adapter"), (None, "model")])
def test_what_was_learnt_is_saved_as_safetensors_and_nothing_else_is_left(
    tmp_path: Path, adapter: Adapter | None, left: str
) -> None:
    step, found = study(tmp_path, adapter=adapter, training={"save_steps": 2})
    made = run(step, found, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        left,
        "metrics.jsonl",
        "facts.json",
        "code.json",
    }
    assert list((tmp_path / "out" / left).glob("*.safetensors"))
    assert not [
        path for path in (tmp_path / "out").rglob("*") if path.suffix in {".bin", ".pt", ".pth", ".pkl"}
    ]
    before, after = (load(WEIGHTS, tuned, tmp_path / "cache").model for tuned in (None, tmp_path / "out"))
    assert any(
        (one != other).any() for one, other in zip(before.parameters(), after.parameters(), strict=True)
    )
    facts = TrainingFacts.model_validate_json((tmp_path / "out" / "facts.json").read_text())
    assert facts.model_dump() == {name: made.facts[name] for name in TrainingFacts.model_fields}
    assert (facts.n_trainable_parameters == facts.n_parameters) is (adapter is None)


def test_metrics_are_one_row_a_step_and_name(tmp_path: Path) -> None:
    step, found = study(tmp_path)
    reports: list[tuple[int, int]] = []
    made = run(
        step, replace(found, report=lambda done, total: reports.append((done, total))), tmp_path / "out"
    )
    for name in ("loss", "learning_rate", "grad_norm", "num_tokens", "seconds"):
        assert [at for at, _ in metric(tmp_path / "out", name)] == [1, 2, 3, 4]
    assert [value for _, value in metric(tmp_path / "out", "num_tokens")] == sorted(
        value for _, value in metric(tmp_path / "out", "num_tokens")
    )
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert made.n_rows == 72
    assert made.facts["global_step"] == 4


def test_cut_rows_are_counted(tmp_path: Path) -> None:
    step, found = study(tmp_path, training={"max_steps": 1, "max_length": 22})
    made = run(step, found, tmp_path / "out")
    assert 0 < made.facts["n_truncated"] < 72  # type: ignore[operator]
    assert made.n_rows == 72 - made.facts["n_dropped"]  # type: ignore[operator]


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(tmp_path: Path) -> None:
    losses = []
    for at, seed in enumerate([0, 0, 1]):
        step, found = study(tmp_path, seed=seed, rows=24)
        run(step, found, tmp_path / str(at))
        losses.append(metric(tmp_path / str(at), "loss"))
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize(("killed", "resumed"), [(2, 0), (5, 3), (7, 6)])
def test_a_killed_training_resumes_from_its_last_whole_checkpoint_as_if_nothing_had_happened(
    tmp_path: Path, killed: int, resumed: int
) -> None:
    """Killed before the first checkpoint, after it, and at the very end; a half-written checkpoint lies about
    each time."""
    step, found = study(tmp_path, training={"max_steps": 7, "save_steps": 3, "lr_scheduler_type": "cosine"})
    run(step, found, tmp_path / "undisturbed")
    with pytest.raises(Killed):
        run(step, replace(found, report=killed_at(killed)), tmp_path / "killed")
    half = tmp_path / "killed" / "trainer" / "checkpoint-4"
    half.mkdir(parents=True)
    (half / "trainer_state.json").write_text('{"global_step": 4')
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"global_step": 99, "na')

    made = run(step, found, tmp_path / "killed")
    assert made.facts["resumed_from_step"] == resumed
    for name in ("loss", "learning_rate", "grad_norm", "num_tokens", "epoch"):
        assert metric(tmp_path / "killed", name) == metric(tmp_path / "undisturbed", name), name
    seconds = [value for _, value in metric(tmp_path / "killed", "seconds")]
    assert len(seconds) == 7
    assert seconds == sorted(seconds)
    one, other = (
        load_to_train(WEIGHTS, tmp_path / name, tmp_path / "cache").model.state_dict()
        for name in ("killed", "undisturbed")
    )
    assert all((one[name] == other[name]).all() for name in one)


def test_a_loss_that_is_no_number_fails_the_step(tmp_path: Path) -> None:
    step, found = study(
        tmp_path, adapter=None, training={"max_steps": 30, "learning_rate": 1e30, "max_grad_norm": 1e30}
    )
    with pytest.raises(StepFailed, match="the loss is nan at step"):
        run(step, found, tmp_path / "out")
    assert all(math.isfinite(value) for _, value in metric(tmp_path / "out", "loss"))


def test_training_asks_nothing_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    asked: list[object] = []  # what a library's own thread raises would be lost

    def refuse(*what: object) -> None:
        asked.append(what)
        raise OSError("no network")

    # as it is for whoever runs a study
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    step, found = study(tmp_path, training={"max_steps": 2, "save_steps": 1})
    run(step, found, tmp_path / "out")
    time.sleep(0.2)
    assert asked == []


def test_training_leaves_the_model_in_memory_as_it_was(tmp_path: Path) -> None:
    """Full training changes weights in place; a later step of the same worker must not see them."""
    step, found = study(tmp_path, adapter=None)
    before = {
        name: weight.clone() for name, weight in load(WEIGHTS, None, found.cache).model.state_dict().items()
    }
    run(step, found, tmp_path / "out")
    after = load(WEIGHTS, None, found.cache).model.state_dict()
    assert all((before[name] == after[name]).all() for name in before)


def test_an_adapter_is_trained_on_the_weights_in_memory_which_stay_there_bit_for_bit(tmp_path: Path) -> None:
    import torch

    step, found = study(tmp_path, training={"gradient_checkpointing": True})
    base = load(WEIGHTS, None, found.cache)
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    run(step, found, tmp_path / "out")
    after = load(WEIGHTS, None, found.cache)
    assert after.model is base.model
    assert not after.model.training
    assert not hasattr(after.model, "peft_config")
    assert all(torch.equal(before[name], weight) for name, weight in after.model.state_dict().items())


def test_no_trainer_is_left_in_memory(tmp_path: Path) -> None:
    import gc

    from trl import SFTTrainer

    step, found = study(tmp_path, training={"max_steps": 1})
    gc.disable()
    try:
        run(step, found, tmp_path / "out")
        assert not [one for one in gc.get_objects() if type(one) is SFTTrainer]
    finally:
        gc.enable()


def test_losses_are_those_of_a_bare_trl_script_step_for_step(tmp_path: Path) -> None:
    """TRL, handed the same texts in the same order with the same arguments, and left to tokenise them
    itself."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    step, found = study(
        tmp_path, prompts=tuple(text_form(language, 0) for language in LANGUAGES), training={"max_steps": 6}
    )
    run(step, found, tmp_path / "out")
    drawn, _ = draw(step.train, step.prompts, step.ANSWERS, found, None, step.seed, Counts())
    prompters = {form: Prompter(form, found) for form in step.prompts}
    texts = [
        {"prompt": prompters[form].prompt(example).text, "completion": example.response}
        for example, form in drawn
    ]
    settings = step.training.as_trl()
    trainer = SFTTrainer(
        model=str(TINY),
        args=SFTConfig(
            **{
                name: settings[name]
                for name in ("learning_rate", "max_steps", "per_device_train_batch_size", "logging_steps")
            },
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
    expected = [(logged["step"], logged["loss"]) for logged in trainer.state.log_history if "loss" in logged]
    assert metric(tmp_path / "out", "loss") == expected


def short_and_long(folder: Path) -> None:
    """Rows of two lengths, in turn."""
    answers = ("It eats.", "It eats tofu and kiwi and pizza and sushi and pasta and mango and curry.")
    lines = [
        Example(item=f"{n}", language="en", instruction="Where?", response=answers[n % 2]).model_dump_json()
        + "\n"
        for n in range(64)
    ]
    (folder / "data" / "en" / "examples.jsonl").write_text("".join(lines))


def english(step: SftStep, found: StepContext) -> tuple[SftStep, StepContext]:
    return step.model_copy(update={"train": step.train[:1], "prompts": step.prompts[:1]}), found


def test_rows_of_one_length_can_be_batched_together_and_a_killed_run_resumes_with_the_same_batches(
    tmp_path: Path,
) -> None:
    settings = {"max_steps": 16, "per_device_train_batch_size": 2, "save_steps": 4}
    step, found = english(*study(tmp_path, training=settings))
    short_and_long(tmp_path)
    grouped = step.model_copy(
        update={"training": step.training.model_copy(update={"train_sampling_strategy": "group_by_length"})}
    )

    def n_mixed(out: Path) -> int:
        """Batches of a short row and a long one: neither the smallest nor the largest."""
        sizes = [
            after - before
            for before, after in pairwise([0.0, *(value for _, value in metric(out, "num_tokens"))])
        ]
        return sum(min(sizes) < size < max(sizes) for size in sizes)

    run(step, found, tmp_path / "random")
    run(grouped, found, tmp_path / "grouped")
    assert n_mixed(tmp_path / "grouped") <= 2 < n_mixed(tmp_path / "random")
    with pytest.raises(Killed):
        run(grouped, replace(found, report=killed_at(5)), tmp_path / "killed")
    assert run(grouped, found, tmp_path / "killed").facts["resumed_from_step"] == 4
    assert metric(tmp_path / "killed", "loss") == metric(tmp_path / "grouped", "loss")


def test_batches_without_padding_give_the_losses_of_padded_ones(tmp_path: Path) -> None:
    step, found = english(*study(tmp_path, training={"per_device_train_batch_size": 4}))
    short_and_long(tmp_path)
    run(step, found, tmp_path / "padded")
    bare = step.model_copy(update={"training": step.training.model_copy(update={"padding_free": True})})
    run(bare, found, tmp_path / "bare")
    losses = [value for _, value in metric(tmp_path / "padded", "loss")]
    assert [value for _, value in metric(tmp_path / "bare", "loss")] == pytest.approx(losses, rel=1e-4)


@pytest.mark.skipif(not has_bf16("cpu"), reason="this processor has no bfloat16")
def test_a_text_prompt_is_trained_on_too_and_in_bf16(tmp_path: Path) -> None:
    prompts = tuple(text_form(language, num_fewshot=1) for language in LANGUAGES)
    step, found = study(
        tmp_path, prompts=prompts, training={"bf16": True, "gradient_checkpointing": True, "max_steps": 3}
    )
    run(step, found, tmp_path / "out")
    assert len(metric(tmp_path / "out", "loss")) == 3
    shutil.rmtree(tmp_path / "data")
    load(WEIGHTS, tmp_path / "out", tmp_path / "cache")


# ---------------------------------------------------------------- other families, other precisions


def weights_of(folder: Path, config: Any) -> Weights:
    """A random model of another architecture with the tests' own tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, folder)
    return Weights(path=str(folder))


@pytest.mark.parametrize("model_type", ["bloom", "mamba", "llama"])
def test_rows_that_see_each_other_unless_they_are_padded_are_refused(tmp_path: Path, model_type: str) -> None:
    from transformers import CONFIG_MAPPING

    sizes = {
        "bloom": {"n_head": 4},
        "mamba": {},
        "llama": {"intermediate_size": 64, "num_attention_heads": 4},
    }[model_type]
    config = CONFIG_MAPPING[model_type](
        vocab_size=1024, hidden_size=32, num_hidden_layers=2, initializer_range=0.2, **sizes
    )
    weights = weights_of(tmp_path / "model", config)
    step, found = study(
        tmp_path,
        weights=weights,
        adapter=None,
        training={"padding_free": True, "max_steps": 1, "learning_rate": 1e-4},
    )
    if model_type == "llama":
        assert run(step, found, tmp_path / "out").facts["global_step"] == 1
        return
    with pytest.raises(
        DataError, match=f"`padding_free`: rows of a batch see each other in this {model_type} model"
    ):
        run(step, found, tmp_path / "out")


def test_half_precision_weights_are_trained_in_float32_and_the_share_that_moved_is_recorded(
    tmp_path: Path,
) -> None:
    """Steps of 1e-5 are rounded away in bfloat16, unless they can add up in float32 first."""
    weights = WEIGHTS.model_copy(update={"dtype": "bfloat16"})
    moved: dict[bool, Any] = {}
    for pure in (False, True):
        settings = {"learning_rate": 1e-5, "lr_scheduler_type": "constant", "pure_bf16": pure, "max_steps": 6}
        step, found = study(tmp_path, weights=weights, adapter=None, training=settings)
        made = run(step, found, tmp_path / f"{pure}")
        assert made.facts["dtype"] == ("bfloat16" if pure else "float32")
        moved[pure] = made.facts["share_moved"]
    before, after = (
        load(weights, tuned, found.cache).model.state_dict() for tuned in (None, tmp_path / "False")
    )
    n_moved = sum((after[name] != before[name]).sum().item() for name in before if name != "lm_head.weight")
    assert moved[False] == pytest.approx(
        n_moved / sum(before[name].numel() for name in before if name != "lm_head.weight"), abs=0.01
    )
    assert 0 < moved[True] < moved[False] < 1


def test_all_weights_of_a_float16_model_can_be_trained(tmp_path: Path) -> None:
    step, found = study(tmp_path, weights=WEIGHTS.model_copy(update={"dtype": "float16"}), adapter=None)
    assert run(step, found, tmp_path / "out").facts["dtype"] == "float32"
    with pytest.raises(DataError, match=r"those of .* have `dtype: float16`"):
        run(
            step.model_copy(update={"training": step.training.model_copy(update={"pure_bf16": True})}),
            found,
            tmp_path / "pure",
        )


def test_a_loss_that_is_no_number_in_float16_is_laid_to_float16(tmp_path: Path) -> None:
    step, found = study(
        tmp_path, weights=WEIGHTS.model_copy(update={"dtype": "float16"}), training={"learning_rate": 1e30}
    )
    with pytest.raises(StepFailed, match=r"the loss is nan at step .*float16 holds no number above 65,504"):
        run(step, found, tmp_path / "out")


def test_a_target_module_that_is_not_there_is_named_beside_those_that_are(tmp_path: Path) -> None:
    step, found = study(tmp_path, adapter=LORA.model_copy(update={"target_modules": ("q_proj", "c_attn")}))
    with pytest.raises(
        DataError,
        match=r"the model has no c_attn\. An adapter can lie on: down_proj, embed_tokens, gate_proj, k_proj",
    ):
        run(step, found, tmp_path / "out")


def test_the_end_that_a_template_puts_is_taught_where_no_setting_names_it_and_that_is_recorded(
    tmp_path: Path,
) -> None:
    """As Llama 3 was first published: turns end with `<|eot_id|>`, and the settings know
    `<|end_of_text|>`."""
    from transformers import AutoTokenizer

    shutil.copytree(TINY, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    tokenizer.chat_template = (
        "{% for m in messages %}### {{ m.role }}\n{{ m.content }}<pad>\n{% endfor %}### assistant\n"
    )
    tokenizer.save_pretrained(tmp_path / "model")
    step, found = study(tmp_path, weights=Weights(path=str(tmp_path / "model")), training={"max_steps": 1})
    made = run(step, found, tmp_path / "out")
    assert made.facts["answer_end"] == "<pad>"
    assert "ends a turn with `<pad>`, which neither the tokenizer nor the generation settings name" in str(
        made.facts["remedies"]
    )


# ---------------------------------------------------------------- validation


def evaluated(folder: Path, **training: Any) -> tuple[SftStep, StepContext]:
    """Sixty-three rows to train on and nine to evaluate on, at a rate at which it gets worse before long."""
    settings = {
        "max_steps": 12,
        "eval_steps": 2,
        "learning_rate": 0.012,
        "lr_scheduler_type": "constant",
        **training,
    }
    return study(folder, validation=HeldOut(rows=0.125), training=settings)


def has_weights_of(folder: Path, one: str, other: str) -> bool:
    found = [
        load_to_train(WEIGHTS, folder / name, folder / "cache").model.state_dict() for name in (one, other)
    ]
    return all((found[0][name] == found[1][name]).all() for name in found[0])


def test_the_loss_on_held_out_rows_is_recorded_by_step_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    step, found = evaluated(tmp_path)
    made = run(step, found, tmp_path / "out")
    losses = metric(tmp_path / "out", "eval_loss")
    assert [at for at, _ in losses] == [2, 4, 6, 8, 10, 12]
    assert (made.n_rows, made.facts["n_validation_rows"]) == (63, 9)
    best_step, best = min(losses, key=lambda pair: pair[1])
    assert best_step < 12, "else the last weights are the best ones"
    assert (made.facts["best_global_step"], made.facts["best_metric"]) == (best_step, best)
    ended_there, found = evaluated(tmp_path, max_steps=best_step)
    run(ended_there, found, tmp_path / "ended there")
    assert has_weights_of(tmp_path, "out", "ended there")
    last, found = evaluated(tmp_path, load_best_model_at_end=False)
    run(last, found, tmp_path / "last")
    assert not has_weights_of(tmp_path, "out", "last")
    names = {row.name for row in read_rows(tmp_path / "out" / "metrics.jsonl", TrainMetric)}
    assert "eval_mean_token_accuracy" in names
    assert not [name for name in names if "runtime" in name or "per_second" in name]


@pytest.mark.parametrize("killed", [3, 11, 99])
def test_a_killed_training_with_early_stopping_ends_where_one_ends_that_was_never_killed(
    tmp_path: Path, killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the best evaluation, after it, and when the last checkpoint was written but no result."""
    step, found = evaluated(tmp_path, max_steps=30, early_stopping_patience=2)
    made = run(step, found, tmp_path / "undisturbed")
    ended = made.facts["global_step"]
    assert ended == made.facts["best_global_step"] + 4 < 30  # type: ignore[operator]

    def lost(*of: object) -> None:
        raise Killed

    monkeypatch.setattr("runners.training.tune.save", lost)
    with pytest.raises(Killed):
        run(step, replace(found, report=killed_at(killed)), tmp_path / "killed")
    monkeypatch.undo()
    again = run(step, found, tmp_path / "killed")
    resumed = made.facts["best_global_step"] + 2 if killed == 99 else killed - 1  # type: ignore[operator]
    assert again.facts["resumed_from_step"] == resumed
    for fact in ("global_step", "best_global_step", "best_metric"):
        assert again.facts[fact] == made.facts[fact]
    for name in ("loss", "eval_loss"):
        assert metric(tmp_path / "killed", name) == metric(tmp_path / "undisturbed", name)
    assert has_weights_of(tmp_path, "killed", "undisturbed")


@pytest.mark.parametrize("diverges_at", [2, 8])
def test_a_training_that_diverges_keeps_its_best_weights_where_it_has_been_evaluated(
    tmp_path: Path, diverges_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Trainer

    whole = Trainer.training_step

    def diverging(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        loss = whole(self, *args, **kwargs)
        return loss if self.state.global_step + 1 < diverges_at else loss * math.nan

    monkeypatch.setattr(Trainer, "training_step", diverging)
    step, found = evaluated(tmp_path, eval_steps=4)
    if diverges_at == 2:
        with pytest.raises(StepFailed, match="the loss is nan at step 2"):
            run(step, found, tmp_path / "out")
        return
    made = run(step, found, tmp_path / "out")
    assert (made.facts["diverged_at_step"], made.facts["global_step"]) == (8, 8)
    ((_, best),) = [pair for pair in metric(tmp_path / "out", "eval_loss") if pair[0] == 4]
    assert made.facts["best_metric"] <= best  # type: ignore[operator]
    monkeypatch.undo()
    ended_there, found = evaluated(tmp_path, max_steps=made.facts["best_global_step"])
    healthy = run(ended_there, found, tmp_path / "ended there")
    assert healthy.facts["diverged_at_step"] is None
    assert has_weights_of(tmp_path, "out", "ended there")


@pytest.mark.parametrize("changes", [{"adapter": None}, {"training": {"padding_free": True}}])
def test_full_weights_and_batches_without_padding_are_evaluated_too(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    training = {"max_steps": 3, "eval_steps": 0.5, "learning_rate": 1e-2, **changes.pop("training", {})}
    step, found = study(tmp_path, validation=HeldOut(rows=0.1), training=training, **changes)
    made = run(step, found, tmp_path / "out")
    losses = metric(tmp_path / "out", "eval_loss")
    assert [at for at, _ in losses] == [2, 3], "half of three steps, and the last one"
    assert made.facts["best_metric"] == min(value for _, value in losses)


def test_an_evaluation_of_a_data_set_holds_nothing_out(tmp_path: Path) -> None:
    step, found = study(tmp_path, training={"max_steps": 1})
    english, *others = step.train
    step = step.model_copy(
        update={"train": (english,), "prompts": step.prompts[:1], "validation": (others[0],)}
    )
    made = run(step, found, tmp_path / "out")
    assert (made.n_rows, made.facts["n_validation_rows"]) == (24, 24)


def test_the_best_trial_s_weights_are_taken_and_every_trial_is_recorded(tmp_path: Path) -> None:
    trials, folders = {}, {}
    for place, rate in enumerate((1e-3, 2e-2, 1e-4)):
        step, found = evaluated(tmp_path, learning_rate=rate, max_steps=4)
        trial = f"sft-{place:016x}"
        trials[f"training.learning_rate: {rate}"] = trial
        folders[trial] = tmp_path / trial
        run(step, found, folders[trial])
    (tmp_path / "out" / "adapter").mkdir(parents=True)
    (tmp_path / "out" / "adapter" / "left").touch()  # by a killed attempt
    context = StepContext(folders, tmp_path / "cache")
    made = select.run(SelectStep(trials=trials), context, tmp_path / "out")
    rows = list(read_rows(tmp_path / "out" / "trials.jsonl", Trial))
    losses = {trial: min(value for _, value in metric(folders[trial], "eval_loss")) for trial in folders}
    assert {row.trial_id: row.best_metric for row in rows} == losses
    (best,) = [row for row in rows if row.is_chosen]
    assert losses[best.trial_id] == min(losses.values())
    assert (made.facts["trial_id"], made.facts["n_trials"]) == (best.trial_id, 3)
    assert has_weights_of(tmp_path, "out", best.trial_id)
    assert not (tmp_path / "out" / "adapter" / "left").exists()
