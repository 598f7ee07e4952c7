"""Adapters merged into the weights that they were trained on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runners.models import load_checks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def merge(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """Merge an adapter (PEFT's folder) into copies of the weights that it changes."""
    from peft import PeftModel

    with warnings.catch_warnings():
        # PEFT reads by this name what transformers has renamed
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        adapted: Any = cast("Any", PeftModel).from_pretrained(model, str(adapter), use_safetensors=True)
    _untie(model)
    # safe: into a copy of each weight, which then replaces it; in place, it would change the tensors of all
    # models that share them
    merged = adapted.merge_and_unload(safe_merge=True)
    return merged.requires_grad_(True)  # PEFT froze what it merged into, and full training may follow


def _untie(model: PreTrainedModel) -> None:
    """Give the LM head a weight of its own where an adapter changes the input embedding alone, which it was
    trained to do; and note in the configuration where the two are no longer one weight."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    embedding: Any = model.get_input_embeddings()
    head: Any = cast("Any", model).get_output_embeddings()
    if head is None:
        return
    if isinstance(embedding, BaseTunerLayer) and embedding.weight is head.weight:
        head.weight = torch.nn.Parameter(head.weight.detach())
    if embedding.weight is not head.weight:  # or the adapter came with one of them, or with both
        model.config.tie_word_embeddings = False
        load_checks.text_config(model).tie_word_embeddings = False
