"""Faster modules for CPUs that compute the same. Nothing but speed depends on this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runners.inference.cpu.fused_modules import patch_modules
from runners.inference.cpu.screened_lm_head import ScreenedHead, screened_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def optimize(model: PreTrainedModel, free_bytes: int) -> ScreenedHead | None:
    """Patch a model's modules, and return its screened LM head if it got one.

    The model must be its caller's alone, use packed attention, and keep its weights. Copies of them take at
    most half of `free_bytes`.
    """
    patch_modules(model, free_bytes)
    return screened_head(model, free_bytes)
