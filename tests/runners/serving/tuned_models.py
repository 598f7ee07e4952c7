"""Tuned models as training steps leave them, without the training."""

from pathlib import Path
from typing import Any, cast

from dsl.engines.transformers import Weights


def adapted(
    folder: Path, weights: Weights, cache: Path, seed: int, on: Path | None = None, **settings: Any
) -> Path:
    """Return the folder of a training step with a LoRA adapter of random matrices, perhaps on another one's.
    `settings` are PEFT's."""
    import peft
    import torch

    from runners.models.loading import load_to_train

    made, tensors = cast("tuple[Any, Any]", (peft, torch))
    tensors.manual_seed(seed)
    loaded = load_to_train(weights, on, cache, is_frozen=True)
    settings = {"target_modules": ["q_proj", "v_proj", "down_proj"], **settings}
    config = made.LoraConfig(r=4, init_lora_weights="gaussian", task_type="CAUSAL_LM", **settings)
    model = made.get_peft_model(loaded.model, config)
    drawn = ("lora_B", "lora_embedding_A", "modules_to_save", ".bias")
    for name, weight in model.named_parameters():
        if weight.requires_grad and any(part in name for part in drawn):
            tensors.nn.init.normal_(weight, std=0.05)
    model.save_pretrained(folder / "adapter")
    if on is not None:
        (folder / "policy").symlink_to(on)
    return folder
