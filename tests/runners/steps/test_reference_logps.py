"""Log-probabilities of a frozen model, and training on them, which is the same as TRL's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from dsl.data.records import RefLogps, TrainMetric
from dsl.errors import DataError
from dsl.steps.losses import LossType
from dsl.steps.steps import DpoStep, ReferenceLogpsStep, SftStep
from dsl.steps.training_settings import Adapter, Training
from runners.models.loading import load
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import token_ids
from runners.steps import dpo, reference_logps, sft
from runners.store.step_io import StepContext, StepResult, read_rows
from runners.training.trainer import has_bf16
from tests.fixtures.tiny_study import WEIGHTS, chat_form, inputs, rows

# PEFT reads a property that transformers renamed.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

LORA = Adapter(r=8, lora_alpha=16)
SFT, REFERENCE = "sft-0123456789ab89ab", "reference_logps-0123456789ab89ab"
EVERY_LOSS: tuple[LossType, ...] = get_args(LossType)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result of sft, as an adapter."""
    folder = tmp_path_factory.mktemp("tuned")
    found, (english,) = inputs(folder / "data", en=rows("instructions", "en"))
    return tuned(folder / "sft", found, english, seed=0)


def tuned(out: Path, found: StepContext, data: str, seed: int) -> Path:
    out.mkdir()
    training = Training(max_steps=4, per_device_train_batch_size=8, learning_rate=5e-3)
    sft.run(
        SftStep(
            weights=WEIGHTS, train=(data,), prompts=(chat_form(),), adapter=LORA, training=training, seed=seed
        ),
        found,
        out,
    )
    return out


def study(folder: Path, below: Path | None = None, **changes: Any) -> tuple[ReferenceLogpsStep, StepContext]:
    """A step over English and French pairs; `below` is the folder of its policy."""
    found, pairs = inputs(folder / "data", en=rows("preferences", "en"), fr=rows("preferences", "fr"))
    settings = {
        "weights": WEIGHTS,
        "pairs": tuple(pairs),
        "prompts": (chat_form(),) * 2,
        "max_length": 1024,
        "bf16": False,
    }
    step = ReferenceLogpsStep.model_validate(settings | {"policy": SFT if below else None} | changes)
    return step, replace(found, folders={**found.folders, **({SFT: below} if below else {})})


def run(step: ReferenceLogpsStep, found: StepContext, out: Path) -> StepResult:
    out.mkdir(exist_ok=True)
    return reference_logps.run(step, found, out)


def logps(out: Path) -> dict[tuple[str, str], RefLogps]:
    return {(row.language, row.item): row for row in read_rows(out / "ref_logps.jsonl", RefLogps)}


def metric(out: Path, name: str) -> list[float]:
    return [row.value for row in read_rows(out / "metrics.jsonl", TrainMetric) if row.name == name]


def trained(
    step: ReferenceLogpsStep, found: StepContext, out: Path, ref_logps: Path | None, **changes: Any
) -> StepResult:
    """A dpo step on the same pairs, held to `ref_logps`'s rows or to what TRL computes as it goes on."""
    settings: dict[str, Any] = {
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        **changes.pop("training", {}),
    }
    shared = step.model_dump(include={"weights", "pairs", "rows", "prompts"})
    held = {"ref_logps": REFERENCE if ref_logps else None, "policy": SFT if SFT in found.folders else None}
    training = Training(max_length=step.max_length, bf16=step.bf16, **settings)
    dpo_step = DpoStep.model_validate(
        {**shared, **held, "adapter": LORA, "training": training, "seed": 0, **changes}
    )
    out.mkdir()
    return dpo.run(
        dpo_step,
        replace(found, folders={**found.folders, **({REFERENCE: ref_logps} if ref_logps else {})}),
        out,
    )


@contextmanager
def forwards() -> Iterator[list[int]]:
    """An entry for each time the decoder is run meanwhile."""
    import torch

    seen: list[int] = []

    def look(module: Any, given: Any) -> None:
        if type(module).__name__ == "LlamaModel":
            seen.append(1)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


def test_log_probabilities_are_of_the_answer_and_its_end_whatever_stands_beside_it(
    tmp_path: Path, policy: Path
) -> None:
    """Against log-probabilities made by hand, one row at a time."""
    import torch

    step, found = study(tmp_path, policy)
    made = run(step, found, tmp_path / "out")
    got = logps(tmp_path / "out")
    assert (made.n_rows, made.n_reused, len(got)) == (32, 0, 32)
    loaded = load(WEIGHTS, policy, found.cache)
    for pair in (*rows("preferences", "en")[:3], *rows("preferences", "fr")[-3:]):
        prompt = token_ids(loaded.tokenizer, Prompter(chat_form(), found).prompt(pair))
        for name in ("chosen", "rejected"):
            ids = [
                *loaded.tokenizer.encode(getattr(pair, name), add_special_tokens=False),
                loaded.tokenizer.eos_token_id,
            ]
            with torch.no_grad():
                logits = loaded.model(input_ids=torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
            expected = sum(logits[len(prompt) + at - 1, token].item() for at, token in enumerate(ids))
            assert getattr(got[pair.language, pair.item], f"ref_{name}_logps") == pytest.approx(
                expected, rel=1e-5, abs=1e-4
            )


@pytest.mark.parametrize(
    ("held_to", "adapter"), [("untrained", LORA), ("untrained", None), ("policy", LORA), ("base", LORA)]
)
def test_losses_are_those_of_a_reference_computed_as_training_goes_on(
    tmp_path: Path, policy: Path, held_to: str, adapter: Adapter | None
) -> None:
    """Every loss of TRL's at once, step for step; and the decoder runs once a step, not twice."""
    step, found = study(tmp_path, None if held_to == "untrained" else policy)
    frozen = step.model_copy(update={"policy": None}) if held_to == "base" else step
    run(frozen, found, tmp_path / "reference")
    held = {
        "adapter": adapter,
        "loss_type": EVERY_LOSS,
        "reference": "base" if held_to == "base" else "policy",
    }
    with forwards() as n_before:
        made = trained(step, found, tmp_path / "before", tmp_path / "reference", **held)
    with forwards() as n_on_the_fly:
        trained(step, found, tmp_path / "on_the_fly", None, **held)
    assert (len(n_before), len(n_on_the_fly)) == (4, 8)
    for name in ("loss", "rewards/chosen", "rewards/margins", "logps/chosen", "grad_norm"):
        assert metric(tmp_path / "before", name) == pytest.approx(
            metric(tmp_path / "on_the_fly", name), rel=2e-4, abs=2e-4
        ), name
    assert str(made.facts["reference_model"]).endswith(f"(computed once, {REFERENCE})")


def test_a_sigmoid_loss_begins_at_ln_2_and_moves_with_what_the_reference_says(tmp_path: Path) -> None:
    step, found = study(tmp_path)
    run(step, found, tmp_path / "reference")
    trained(step, found, tmp_path / "plain", tmp_path / "reference", beta=0.5)
    assert metric(tmp_path / "plain", "loss")[0] == pytest.approx(0.693147, abs=1e-5)
    assert metric(tmp_path / "plain", "rewards/margins")[0] == pytest.approx(0, abs=1e-5)
    moved = [
        row.model_copy(update={"ref_chosen_logps": row.ref_chosen_logps - 2})
        for row in logps(tmp_path / "reference").values()
    ]
    (tmp_path / "reference" / "ref_logps.jsonl").write_text(
        "".join(row.model_dump_json() + "\n" for row in moved)
    )
    trained(step, found, tmp_path / "moved", tmp_path / "reference", beta=0.5, training={"max_steps": 1})
    assert metric(tmp_path / "moved", "rewards/chosen") == [pytest.approx(1, abs=1e-5)]
    assert metric(tmp_path / "moved", "rewards/rejected") == [pytest.approx(0, abs=1e-5)]


def test_rows_that_other_draws_have_are_reused(tmp_path: Path) -> None:
    step, found = study(tmp_path)
    some = step.model_copy(update={"rows": 10, "seed": 3})
    assert run(some, found, tmp_path / "some").n_rows == 10
    made = run(step, replace(found, reuse_from=(tmp_path / "some",)), tmp_path / "all")
    assert (made.n_rows, made.n_reused) == (32, 10)
    assert len(logps(tmp_path / "all")) == 32
    fewer = run(some, replace(found, reuse_from=(tmp_path / "all",)), tmp_path / "again")
    assert (fewer.n_rows, fewer.n_reused) == (10, 10)
    assert logps(tmp_path / "again") == {
        place: logps(tmp_path / "all")[place] for place in logps(tmp_path / "some")
    }


def test_rows_of_the_untrained_weights_and_rows_that_are_cut_are_others(tmp_path: Path, policy: Path) -> None:
    step, found = study(tmp_path, policy)
    run(step, found, tmp_path / "out")
    with_cached = replace(found, reuse_from=(tmp_path / "out",))
    assert run(step.model_copy(update={"policy": None}), with_cached, tmp_path / "untrained").n_reused == 0
    cut = run(step.model_copy(update={"max_length": 30}), with_cached, tmp_path / "cut")
    assert cut.facts["n_truncated"] == cut.n_rows - cut.n_reused > 0


def test_a_policy_that_was_trained_again_has_no_rows_yet(tmp_path: Path, policy: Path) -> None:
    """A step with the same id need not give the same weights twice, on a GPU say: its files decide."""
    step, found = study(tmp_path, policy)
    run(step, found, tmp_path / "out")
    instructions, (english,) = inputs(tmp_path / "instructions", en=rows("instructions", "en"))
    other = tuned(tmp_path / "again", instructions, english, seed=1)
    made = run(step, replace(found, folders={**found.folders, SFT: other}), tmp_path / "out")
    assert (made.n_rows, made.n_reused) == (32, 0)
    with pytest.raises(DataError, match="has no log-probabilities of item"):
        trained(step, found, tmp_path / "dpo", tmp_path / "out")


def test_rows_are_known_by_what_was_computed_not_by_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.training.trainer.has_bf16", lambda device: False)
    step, found = study(tmp_path, bf16=True)
    made = run(step, found, tmp_path / "asked")
    assert made.facts["bf16"] is False
    assert {
        row.provenance and (row.provenance.device, row.provenance.dtype)
        for row in logps(tmp_path / "asked").values()
    } == {("cpu", "float32")}
    exact = run(
        step.model_copy(update={"bf16": False}),
        replace(found, reuse_from=(tmp_path / "asked",)),
        tmp_path / "exact",
    )
    assert (exact.n_rows, exact.n_reused) == (32, 32)


@pytest.mark.skipif(not has_bf16("cpu"), reason="this processor has no bfloat16")
def test_the_reference_computes_in_the_precision_of_training(tmp_path: Path) -> None:
    step, found = study(tmp_path, bf16=True)
    run(step, found, tmp_path / "reference")
    trained(step, found, tmp_path / "before", tmp_path / "reference")
    trained(step, found, tmp_path / "on_the_fly", None)
    assert metric(tmp_path / "before", "loss")[0] == pytest.approx(
        metric(tmp_path / "on_the_fly", "loss")[0], abs=0.02
    )
    exact = run(
        step.model_copy(update={"bf16": False}),
        replace(found, reuse_from=(tmp_path / "reference",)),
        tmp_path / "exact",
    )
    assert exact.n_reused == 0


@pytest.mark.parametrize("rows", [None, 12])
def test_pairs_that_dpo_is_evaluated_on_have_their_reference_too(tmp_path: Path, rows: int | None) -> None:
    """Rows are drawn from the one end and held out from the other: both are read where not all are."""
    held_out: dict[str, Any] = {"validation": {"rows": 0.25}}
    step, found = study(tmp_path, rows=rows, seed=0, **(held_out if rows else {}))
    run(step, found, tmp_path / "reference")
    training = {"eval_steps": 2, "metric_for_best_model": "eval_rewards/accuracies", "learning_rate": 5e-3}
    for name, ref_logps in (("read", tmp_path / "reference"), ("computed", None)):
        made = trained(step, found, tmp_path / name, ref_logps, training=training, **held_out)
        n_held_out = 4 if rows else 8  # in both languages
        assert (made.n_rows, made.facts["n_validation_rows"]) == ((rows or 32) - n_held_out, n_held_out)
        assert made.facts["best_metric"] == max(metric(tmp_path / name, "eval_rewards/accuracies"))
    for name in ("loss", "eval_loss", "eval_rewards/margins", "eval_lengths/chosen"):
        read, computed = (metric(tmp_path / folder, name) for folder in ("read", "computed"))
        assert len(read) == (4 if name == "loss" else 2)
        assert read == pytest.approx(computed, abs=1e-5)
