"""Adapters of each kind: trained, kept, and loaded as they were when training ended."""

import math
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import TrainMetric
from dsl.errors import DataError
from dsl.steps.steps import DpoStep, SftStep
from dsl.steps.training_settings import Adapter, Training
from runners.models.loading import load, load_to_train
from runners.steps import dpo, sft
from runners.store.step_io import read_rows
from runners.training import tune
from runners.training.adapter import lora
from tests.fixtures.tiny_study import WEIGHTS, chat_form, inputs, rows
from tests.runners.checkpoints import llama

pytestmark = [
    pytest.mark.slow,
    # PEFT reads a property that transformers renamed
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    # PEFT's, of what is seen to here
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`:UserWarning"),
]

BOTH = ("embed_tokens", "lm_head")
KINDS: dict[str, dict[str, Any]] = {
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "dora of an embedding": {"use_dora": True, "target_modules": ("q_proj", "embed_tokens")},
    "a norm": {"modules_to_save": ("model.norm",)},
    "head": {"modules_to_save": ("lm_head",)},
    "embedding": {"modules_to_save": ("embed_tokens",)},
    "both": {"modules_to_save": BOTH},
    "tied, by the embedding": {"modules_to_save": ("embed_tokens",), "ensure_weight_tying": True},
    "tied, by both": {"modules_to_save": BOTH, "ensure_weight_tying": True},
}


def study(folder: Path, **changes: Any) -> tuple[SftStep, Any]:
    found, (english,) = inputs(folder / "data", en=rows("instructions", "en"))
    settings: dict[str, Any] = {"max_steps": 3, "learning_rate": 5e-3, **changes.pop("training", {})}
    fields: dict[str, Any] = {
        "weights": WEIGHTS,
        "train": (english,),
        "prompts": (chat_form(),),
        "adapter": Adapter(r=8, lora_alpha=16),
        "training": Training(**settings),
        "seed": 0,
        **changes,
    }
    step = SftStep(**fields)
    (folder / "out").mkdir(exist_ok=True)
    return step, found


def of_kind(kind: str) -> Adapter:
    return Adapter(r=8, lora_alpha=16, **KINDS[kind])


def logits_of(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([[1, 30, 40, 50, 60]])).logits


def written(model: Any) -> list[int]:
    """Greedy tokens."""
    import torch

    given = torch.tensor([[1, 30, 40]])
    out = model.generate(
        input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=8, do_sample=False
    )
    return out[0].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_loaded_answers_as_what_was_trained(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged, over base weights that stay as they are, and saved and loaded once more as full weights."""
    trained: dict[str, Any] = {}

    def noting(trainer: Any, *rest: Any) -> None:
        trained["logits"], trained["tokens"] = logits_of(trainer.model), written(trainer.model)
        save(trainer, *rest)

    save = tune.save
    monkeypatch.setattr(tune, "save", noting)
    before = logits_of(load(WEIGHTS, None, tmp_path).model)
    step, found = study(tmp_path, adapter=of_kind(kind))
    sft.run(step, found, tmp_path / "out")

    loaded = load(WEIGHTS, tmp_path / "out", tmp_path)
    assert (logits_of(loaded.model) - trained["logits"]).abs().max() < 1e-3
    assert (before - trained["logits"]).abs().max() > 0.1
    assert written(loaded.model) == trained["tokens"]
    assert (logits_of(load(WEIGHTS, None, tmp_path).model) == before).all()

    whole: Any = load_to_train(WEIGHTS, tmp_path / "out", tmp_path).model
    is_tied = whole.get_input_embeddings().weight is whole.get_output_embeddings().weight
    assert (
        whole.config.tie_word_embeddings
        == is_tied
        == (kind in {"rslora", "dora", "a norm"} or "tied" in kind)
    )
    whole.save_pretrained(tmp_path / "full" / "model")
    again = load(WEIGHTS, tmp_path / "full", tmp_path)
    assert (logits_of(again.model) - trained["logits"]).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"target_modules": ("lm_head",)},
            r"`target_modules`: the model has no lm_head\. An adapter can lie on",
        ),
        (
            {"modules_to_save": ("wte", "lm_head")},
            r"`modules_to_save`: the model has no wte\. What can be trained whole: down_proj, embed_tokens",
        ),
        (
            {"modules_to_save": ("norm",), "ensure_weight_tying": True},
            "`modules_to_save` names neither embed_tokens nor lm_head",
        ),
    ],
)
def test_modules_that_are_not_there_and_ties_that_nothing_holds_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    model = load(WEIGHTS, None, tmp_path).model
    with pytest.raises(DataError, match=message):
        lora(Adapter(**settings), model)


def test_embeddings_that_are_two_weights_cannot_be_kept_tied() -> None:
    model = llama(8, tie_word_embeddings=False)
    with pytest.raises(DataError, match="input and output embedding are two weights"):
        lora(Adapter(modules_to_save=("lm_head",), ensure_weight_tying=True), model)


def test_preferences_begin_at_the_reference_whatever_the_adapter_replaces(tmp_path: Path) -> None:
    """The reference is the model with the adapter off, and with the modules off that came with it."""
    found, (english,) = inputs(tmp_path / "data", en=rows("preferences", "en"))
    step = DpoStep(
        weights=WEIGHTS.model_copy(update={"dtype": "bfloat16"}),
        pairs=(english,),
        prompts=(chat_form(),),
        adapter=of_kind("tied, by both"),
        training=Training(max_steps=2, learning_rate=1e-3, lr_scheduler_type="constant"),
        seed=0,
    )
    (tmp_path / "out").mkdir()
    made = dpo.run(step, found, tmp_path / "out")
    losses = [
        row.value for row in read_rows(tmp_path / "out" / "metrics.jsonl", TrainMetric) if row.name == "loss"
    ]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[1] != pytest.approx(math.log(2), abs=1e-3)
    assert made.facts["dtype"] == "float32", "modules are trained whole"
